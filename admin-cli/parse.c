#include "parse.h"

#include <stdio.h>

#include "hint.h"
#include "parse_value.h"

#define ARENA_BYTES (1024 * 1024)
#define WORD_SHOWN  64 /* bytes of a wrong word that the message repeats */

struct line {
	struct parse *p;
	int argc, at;
	char *const *argv;
	bool options_over; /* behind -- */
	size_t words;      /* arguments of the command that are no options, so far */
};

static enum errc wrong(struct parse *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static enum errc wrong(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->error, sizeof(p->error), fmt, ap);
	va_end(ap);
	return ERRC_INVAL;
}

/* " (did you mean 'x'?)", or nothing. */
static const char *hint_text(const struct hint *h, char *out, size_t n)
{
	out[0] = '\0';
	if (h->best.p)
		snprintf(out, n, " (did you mean '" SLICE_FMT "'?)", SLICE_ARG(h->best));
	return out;
}

void parse_init(struct parse *p, int64_t now_ms)
{
	*p = (struct parse){.now_ms = now_ms};
	arena_init(&p->arena, ARENA_BYTES);
}

void parse_fini(struct parse *p)
{
	arena_fini(&p->arena);
}

/* --- fields --- */

static struct parse_fields *place_of(struct parse *p, const struct command_arg *a)
{
	return a->where == COMMAND_LOCAL ? &p->local : &p->send;
}

static struct control_field *given(struct parse_fields *all, const char *field)
{
	for (size_t i = 0; i < all->n; i++) {
		if (slice_is(all->f[i].name, field))
			return &all->f[i];
	}
	return NULL;
}

/* `shown` is how messages call the argument. */
static enum errc add_value(struct parse *p, const struct command_arg *a, const char *shown,
			   struct slice text)
{
	struct parse_fields *all = place_of(p, a);
	struct control_field f, *before = given(all, a->field);
	char why[256];

	if (parse_value(a, text, p->now_ms, &f, why, sizeof(why)))
		return wrong(p, "%s: '" SLICE_FMT "' is not %s", shown,
			     SLICE_ARG(slice_sub(text, 0, WORD_SHOWN)), why);
	if (before && a->type == COMMAND_LIST) {
		before->s = arena_fmt(&p->arena, SLICE_FMT "," SLICE_FMT, SLICE_ARG(before->s),
				      SLICE_ARG(f.s));
		return before->s.p ? ERRC_OK : ERRC_NOMEM;
	}
	if (before)
		return wrong(p, "%s is given twice", shown);
	require(all->n < CONTROL_FIELDS_MAX);
	all->f[all->n++] = f;
	return ERRC_OK;
}

/* --- options --- */

/* What is asked for by a name that another command has. */
static const char *instead_of(const struct parse *p, struct slice name)
{
	return slice_is(name, "credit") && p->cmd && p->cmd->verb == CONTROL_DO_ACCOUNT_UPDATE
		       ? " (account credit NAME --add DOLLARS gives some)"
		       : NULL;
}

static enum errc unknown_option(struct parse *p, struct slice name)
{
	const struct command *sets[] = {command_all(), p->cmd};
	char text[128];
	const char *instead = instead_of(p, name);
	struct hint h;

	hint_init(&h, name);
	for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
		for (size_t i = 0; sets[s] && i < sets[s]->args_n; i++) {
			if (sets[s]->args[i].is_option)
				hint_add(&h, slice_str(sets[s]->args[i].name));
		}
	}
	if (h.best.p)
		h.best = arena_fmt(&p->arena, "--" SLICE_FMT, SLICE_ARG(h.best));
	return wrong(p, "unknown option '--" SLICE_FMT "'%s",
		     SLICE_ARG(slice_sub(name, 0, WORD_SHOWN)),
		     instead ? instead : hint_text(&h, text, sizeof(text)));
}

static const struct command_arg *member(const struct parse *p, struct slice name)
{
	char plain[64];
	const struct command_arg *a;

	/* Names in files are often written with underscores. */
	snprintf(plain, sizeof(plain), SLICE_FMT, SLICE_ARG(slice_sub(name, 0, sizeof(plain) - 1)));
	for (char *c = plain; *c; c++)
		*c = *c == '_' ? '-' : *c;
	a = command_option(p->cmd, slice_str(plain));
	return a && a->where == COMMAND_SEND ? a : NULL;
}

bool parse_is_switch(const struct parse *p, struct slice name)
{
	const struct command_arg *a = member(p, name);

	return a && (a->type == COMMAND_SWITCH || a->type == COMMAND_FLAG);
}

static enum errc unknown_member(struct parse *p, struct slice name)
{
	char text[128];
	struct hint h;

	hint_init(&h, name);
	for (size_t i = 0; i < p->cmd->args_n; i++) {
		if (p->cmd->args[i].is_option && p->cmd->args[i].where == COMMAND_SEND)
			hint_add(&h, slice_str(p->cmd->args[i].name));
	}
	return wrong(p, "unknown member '" SLICE_FMT "'%s",
		     SLICE_ARG(slice_sub(name, 0, WORD_SHOWN)), hint_text(&h, text, sizeof(text)));
}

enum errc parse_option(struct parse *p, struct slice name, struct slice text)
{
	const struct command_arg *a = member(p, name);

	return a ? add_value(p, a, a->name, text) : unknown_member(p, name);
}

static enum errc take_option(struct line *l)
{
	struct slice rest = slice_str(l->argv[l->at++] + 2), name;
	bool has_value = slice_chr(rest, '=') >= 0;
	const struct command_arg *a;
	char shown[80];

	(void)slice_cut(&rest, '=', &name);
	a = command_option(l->p->cmd, name);
	if (!a)
		return unknown_option(l->p, name);
	snprintf(shown, sizeof(shown), "--%s", a->name);
	if (a->type == COMMAND_FLAG && has_value)
		return wrong(l->p, "%s takes no value", shown);
	if (a->type != COMMAND_FLAG && !has_value) {
		if (l->at >= l->argc)
			return wrong(l->p, "%s needs a value: %s %s", shown, shown, a->value);
		rest = slice_str(l->argv[l->at++]);
	}
	return add_value(l->p, a, shown, rest);
}

static enum errc take_short(struct line *l)
{
	const char *text = l->argv[l->at++];

	if (strcmp(text, "-h") == 0)
		return add_value(l->p, command_option(NULL, SLICE_LIT("help")), "-h", SLICE_NONE);
	if (strcmp(text, "-V") == 0)
		return add_value(l->p, command_option(NULL, SLICE_LIT("version")), "-V", SLICE_NONE);
	return wrong(l->p, "unknown option '%.64s'", text);
}

/* --- words --- */

static enum errc unknown_word(struct parse *p, struct slice word)
{
	const struct command_group *g = p->group;
	struct slice shown = slice_sub(word, 0, WORD_SHOWN);
	char text[128];
	struct hint h;

	hint_init(&h, word);
	for (size_t i = 0; command_at(i); i++) {
		const struct command *c = command_at(i);

		if (g ? command_is_in(c, g) : strchr(c->words, ' ') == NULL)
			hint_add(&h, slice_str(command_verb_text(c)));
	}
	for (size_t i = 0; !g && command_group_at(i); i++)
		hint_add(&h, slice_str(command_group_at(i)->words));
	hint_text(&h, text, sizeof(text));
	if (g)
		return wrong(p, "'%s' has no verb '" SLICE_FMT "'%s", g->words, SLICE_ARG(shown),
			     text);
	return wrong(p, "unknown command '" SLICE_FMT "'%s", SLICE_ARG(shown), text);
}

/* The words before a command's own arguments. */
static enum errc take_name(struct parse *p, struct slice word)
{
	struct slice words = word;

	if (p->group) {
		words = arena_fmt(&p->arena, "%s " SLICE_FMT, p->group->words, SLICE_ARG(word));
		if (!words.p)
			return ERRC_NOMEM;
	}
	p->cmd = command_named(words);
	if (!p->cmd && !p->group)
		p->group = command_group_named(word);
	else if (!p->cmd)
		return unknown_word(p, word);
	return p->cmd || p->group ? ERRC_OK : unknown_word(p, word);
}

static enum errc take_word(struct line *l)
{
	struct slice word = slice_str(l->argv[l->at++]);
	const struct command_arg *a;

	if (!l->p->cmd)
		return take_name(l->p, word);
	a = command_word(l->p->cmd, l->words++);
	if (!a)
		return wrong(l->p, "'" SLICE_FMT "' is one word too many",
			     SLICE_ARG(slice_sub(word, 0, WORD_SHOWN)));
	if (word.n == 0)
		return wrong(l->p, "%s is empty", a->name);
	return add_value(l->p, a, a->name, word);
}

static enum errc take_next(struct line *l)
{
	const char *text = l->argv[l->at];

	if (!l->options_over && strcmp(text, "--") == 0) {
		l->options_over = true;
		l->at++;
		return ERRC_OK;
	}
	if (!l->options_over && text[0] == '-' && text[1] == '-')
		return take_option(l);
	if (!l->options_over && text[0] == '-' && text[1])
		return take_short(l);
	return take_word(l);
}

static enum errc check_whole(struct line *l)
{
	const struct command_arg *a;

	if (!l->p->cmd && l->p->group)
		return wrong(l->p, "'%s' needs a verb", l->p->group->words);
	if (!l->p->cmd)
		return wrong(l->p, "no command");
	a = command_word(l->p->cmd, l->words);
	return a && a->is_needed ? wrong(l->p, "%s is missing", a->name) : ERRC_OK;
}

enum errc parse_args(struct parse *p, int argc, char *const *argv)
{
	struct line l = {.p = p, .argc = argc, .argv = argv};
	enum errc e = ERRC_OK;

	while (l.at < argc && !e)
		e = take_next(&l);
	if (parse_local_bool(p, "help")) {
		p->want = PARSE_HELP;
		return e == ERRC_INVAL ? ERRC_OK
				       : e; /* what is asked for is how it would be right */
	}
	if (parse_local_bool(p, "version"))
		p->want = PARSE_VERSION;
	if (!e && p->want == PARSE_RUN)
		e = check_whole(&l);
	return e;
}

/* --- what was given --- */

struct slice parse_local_str(const struct parse *p, const char *field)
{
	struct slice s = SLICE_NONE;

	(void)!control_get_str(p->local.f, p->local.n, field, &s);
	return s;
}

int64_t parse_local_i64(const struct parse *p, const char *field, int64_t otherwise)
{
	(void)!control_get_i64(p->local.f, p->local.n, field, &otherwise);
	return otherwise;
}

bool parse_local_bool(const struct parse *p, const char *field)
{
	return control_get_bool(p->local.f, p->local.n, field);
}

bool parse_has(const struct parse *p, const char *field)
{
	for (size_t i = 0; i < p->send.n; i++) {
		if (slice_is(p->send.f[i].name, field))
			return true;
	}
	return false;
}
