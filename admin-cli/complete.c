#include "complete.h"

/* Every script is one function over lists that are written out here: the words after each group, the options of each
 * command, the choices of options and words. Names of accounts, teams, users, keys, providers and models are asked from the daemon. File
 * names are left to the shell where a value is a path. */

/* The same option means the same wherever it stands: true for the first command that has it. */
static bool is_first_of_name(const struct command_arg *a)
{
	const struct command *c = command_all();

	for (size_t i = 0; c; c = command_at(i++)) {
		for (size_t k = 0; k < c->args_n; k++) {
			if (c->args[k].is_option && strcmp(c->args[k].name, a->name) == 0)
				return &c->args[k] == a;
		}
	}
	return false;
}

/* But that with some commands it has a value and with others none, such as --postpaid: the instance with a value, NULL where it is always
 * the same. */
static const struct command_arg *mixed(const struct command_arg *a)
{
	const struct command_arg *with = NULL;
	const struct command *c = command_all();
	bool without = false;

	for (size_t i = 0; c; c = command_at(i++)) {
		const struct command_arg *its = command_option(c, slice_str(a->name));

		if (its && its->type == COMMAND_FLAG)
			without = true;
		else if (its)
			with = its;
	}
	return without ? with : NULL;
}

static bool is_path(const struct command_arg *a)
{
	const char *text = a->is_option ? a->value : a->name;

	return strcmp(text, "PATH") == 0 || strcmp(text, "FILE") == 0 || strcmp(text, "FOLDER") == 0;
}

/* The command whose first column has the values of an argument, or the second, see in_second(); NULL without one. A key that a
 * command does not send would have to be the whole one. */
static const char *list_of(const struct command *c, const struct command_arg *a)
{
	if (a->where == COMMAND_LOCAL)
		return strcmp(a->field, "model") == 0 ? "model list" : NULL;
	if (strcmp(a->field, "account") == 0)
		return "account list";
	if (strcmp(a->field, "key") == 0)
		return "key list";
	if (strcmp(a->field, "team") == 0 && strcmp(c->words, "team create") != 0)
		return "team list";
	if (strcmp(a->field, "user") == 0)
		return "user list";
	if (a->is_option || strcmp(a->name, "NAME") != 0)
		return NULL;
	if (slice_has_prefix(slice_str(c->words), SLICE_LIT("provider ")))
		return "provider list";
	return slice_has_prefix(slice_str(c->words), SLICE_LIT("model ")) ? "model list" : NULL;
}

static bool in_second(const char *list)
{
	return strcmp(list, "team list") == 0 || strcmp(list, "user list") == 0;
}

static void put_options(struct put *p, const struct command *c)
{
	for (size_t i = 0; i < c->args_n; i++) {
		if (c->args[i].is_option)
			put_f(p, " --%s", c->args[i].name);
	}
}

static void put_choices(struct put *p, const struct command_arg *a)
{
	struct slice left = command_choices(a), choice;

	while (command_next_choice(&left, &choice))
		put_f(p, " " SLICE_FMT, SLICE_ARG(choice));
}

/* What may stand first: groups and commands of one word. */
static void put_first_words(struct put *p)
{
	const struct command_group *g;
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		if (!strchr(c->words, ' '))
			put_f(p, " %s", c->words);
	}
	for (size_t i = 0; (g = command_group_at(i)); i++)
		put_f(p, " %s", g->words);
}

static void put_verbs(struct put *p, const struct command_group *g)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		if (command_is_in(c, g))
			put_f(p, " %s", command_verb_text(c));
	}
}

/* All options that take a value, with `before` the first and `between` the others. */
static void put_valued_options(struct put *p, const char *before, const char *between)
{
	const struct command *c = command_all();

	for (size_t i = 0; c; c = command_at(i++)) {
		for (size_t k = 0; k < c->args_n; k++) {
			if (!c->args[k].is_option || c->args[k].type == COMMAND_FLAG ||
			    !is_first_of_name(&c->args[k]) || mixed(&c->args[k]))
				continue;
			put_f(p, "%s--%s", before, c->args[k].name);
			before = between;
		}
	}
}

/* The commands with which a mixed option has a value, as patterns of the line so far. */
static void put_valuing(struct put *p, const struct command_arg *a, const char *between)
{
	const char *before = "";
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		const struct command_arg *its = command_option(c, slice_str(a->name));

		if (!its || its->type == COMMAND_FLAG)
			continue;
		put_f(p, between[0] == '|' ? "%s'%s'*" : "%s'%s*'", before, c->words);
		before = between;
	}
}

/* For each mixed option once. */
static void each_mixed(struct put *p, void (*fn)(struct put *p, const struct command_arg *with))
{
	const struct command *c = command_all();

	for (size_t i = 0; c; c = command_at(i++)) {
		for (size_t k = 0; k < c->args_n; k++) {
			const struct command_arg *a = &c->args[k];

			if (a->is_option && is_first_of_name(a) && mixed(a))
				fn(p, mixed(a));
		}
	}
}

/* The first word of a command without options that lists its choices, such as a shell's name. */
static bool has_word_choices(const struct command *c)
{
	const struct command_arg *a = command_word(c, 0);

	return a && command_choices(a).n;
}

/* --- bash --- */

/* Assigns what bash_names() reads. */
static void bash_list(struct put *p, const char *list)
{
	put_f(p, "list=(%s)%s ;;\n", list, in_second(list) ? " second=yes" : "");
}

#define BASH_FILES \
	"COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null; return ;;\n"

static void bash_value(struct put *p, const struct command *c, const struct command_arg *a)
{
	if (is_path(a))
		put_f(p, "\t--%s) " BASH_FILES, a->name);
	if (list_of(c, a)) {
		put_f(p, "\t--%s) ", a->name);
		bash_list(p, list_of(c, a));
	}
	if (!command_choices(a).n)
		return;
	put_f(p, "\t--%s) words=\"", a->name);
	put_choices(p, a);
	put_z(p, "\" ;;\n");
}

static void bash_mixed_value(struct put *p, const struct command_arg *with)
{
	if (!command_choices(with).n)
		return;
	put_f(p, "\t--%s) case $line in ", with->name);
	put_valuing(p, with, "| ");
	put_z(p, ") words=\"");
	put_choices(p, with);
	put_z(p, "\" ;; esac ;;\n");
}

/* A case branch for each option that has choices, names or a path. */
static void bash_values(struct put *p)
{
	const struct command *c;

	put_z(p, "\tcase $last in\n");
	for (size_t i = 0; (c = i ? command_at(i - 1) : command_all()); i++) {
		for (size_t k = 0; k < c->args_n; k++) {
			const struct command_arg *a = &c->args[k];

			if (a->is_option && is_first_of_name(a) && !mixed(a))
				bash_value(p, c, a);
		}
	}
	each_mixed(p, bash_mixed_value);
	put_z(p, "\tesac\n");
}

static void bash_words(struct put *p)
{
	const struct command_group *g;
	const struct command *c;

	put_z(p, "\t[ -n \"$words${list[*]}\" ] || case $line in\n\t'') words=\"");
	put_first_words(p);
	put_z(p, "\" ;;\n");
	for (size_t i = 0; (g = command_group_at(i)); i++) {
		put_f(p, "\t%s) words=\"", g->words);
		put_verbs(p, g);
		put_z(p, "\" ;;\n");
	}
	for (size_t i = 0; (c = command_at(i)); i++) {
		const struct command_arg *a = command_word(c, 0);

		if (a && is_path(a))
			put_f(p, "\t'%s') " BASH_FILES, c->words);
		if (a && list_of(c, a)) {
			put_f(p, "\t'%s') ", c->words);
			bash_list(p, list_of(c, a));
		}
		if (!has_word_choices(c))
			continue;
		put_f(p, "\t'%s') words=\"", c->words);
		put_choices(p, command_word(c, 0));
		put_z(p, "\" ;;\n");
	}
	put_z(p, "\tesac\n");
}

static void bash_options(struct put *p)
{
	const struct command *c;

	put_z(p, "\t[ \"${cur#-}\" = \"$cur\" ] || case $line in\n");
	for (size_t i = 0; (c = command_at(i)); i++) {
		put_f(p, "\t'%s' | '%s '*) words=\"", c->words, c->words);
		put_options(p, c);
		put_options(p, command_all());
		put_z(p, "\" ;;\n");
	}
	put_z(p, "\t*) words=\"");
	put_options(p, command_all());
	put_z(p, "\" ;;\n\tesac\n");
}

/* What the daemon has, without names that the shell would read as something else. */
static void bash_names(struct put *p)
{
	put_z(p, "\t[ -z \"${list[*]}\" ] || while read -r word i; do\n"
		 "\t\t[ -z \"$second\" ] || word=${i%% *}\n"
		 "\t\t[[ $word = *[!A-Za-z0-9._/@+-]* || $word != \"$cur\"* ]] || "
		 "COMPREPLY+=(\"$word\")\n"
		 "\tdone < <(\"${COMP_WORDS[0]}\" \"${socket[@]}\" --timeout 2s \"${list[@]}\" "
		 "2>/dev/null </dev/null | sed 1d)\n");
}

static void bash_mixed_line(struct put *p, const struct command_arg *with)
{
	put_f(p, "--%s) case $line in ", with->name);
	put_valuing(p, with, "| ");
	put_z(p, ") i=$((i + 1)) ;; esac ;;\n\t\t");
}

/* The words of the line so far that are neither options nor their values. */
static void bash_line(struct put *p)
{
	put_z(p, "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tword=${COMP_WORDS[i]}\n\t\tcase "
		 "$word in\n\t\t");
	put_z(p, "--socket) i=$((i + 1)); socket=(--socket \"${COMP_WORDS[i]}\") ;;\n\t\t");
	put_valued_options(p, "", " | ");
	put_z(p, ") i=$((i + 1)) ;;\n\t\t");
	each_mixed(p, bash_mixed_line);
	put_z(p, "-*) ;;\n\t\t*) line=\"${line:+$line }$word\" ;;\n\t\tesac\n\tdone\n");
}

static void bash_script(struct put *p)
{
	put_z(p, "# bash completion of aigwctl: . <(aigwctl completion bash)\n_aigwctl()\n{\n"
		 "\tlocal cur=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} line='' "
		 "words='' second='' word i\n"
		 "\tlocal -a list=() socket=()\n"
		 "\tCOMPREPLY=()\n");
	bash_line(p);
	bash_values(p);
	bash_words(p);
	bash_names(p);
	bash_options(p);
	put_z(p, "\t[ -z \"$words\" ] || COMPREPLY=($(compgen -W \"$words\" -- "
		 "\"$cur\"))\n}\ncomplete -F _aigwctl aigwctl\n");
}

/* --- fish --- */

/* In single quotes, as fish and zsh read them. */
static void put_quoted(struct put *p, const char *text, const char *quote)
{
	for (const char *s = text; *s; s++) {
		if (*s == '\'')
			put_z(p, quote);
		else
			put_s(p, slice_of(s, 1));
	}
}

static void fish_list(struct put *p, const char *list)
{
	put_f(p, "(__aigwctl_rows %s%s | string replace -r \" .*\" \"\")", list,
	      in_second(list) ? " | string replace -r \"^[^ ]* *\" \"\"" : "");
}

static void fish_option(struct put *p, const struct command *c, const struct command_arg *a)
{
	put_z(p, "complete -c aigwctl");
	if (c != command_all())
		put_f(p, " -n '__aigwctl_at \"%s\"'", c->words);
	put_f(p, " -l %s", a->name);
	if (a->type != COMMAND_FLAG)
		put_z(p, is_path(a) ? " -rF" : " -x");
	if (command_choices(a).n) {
		put_z(p, " -a '");
		put_choices(p, a);
		put_z(p, "'");
	} else if (list_of(c, a)) {
		put_z(p, " -a '");
		fish_list(p, list_of(c, a));
		put_z(p, "'");
	}
	put_z(p, " -d '");
	put_quoted(p, a->sentence, "\\'");
	put_z(p, "'\n");
}

/* What may stand behind the command's words. */
static void fish_first_word(struct put *p, const struct command *c)
{
	const struct command_arg *a = command_word(c, 0);

	if (!a)
		return;
	put_f(p, "complete -c aigwctl -n '__aigwctl_is \"%s\"'", c->words);
	if (is_path(a)) {
		put_z(p, " -F\n");
		return;
	}
	put_z(p, " -a '");
	put_choices(p, a);
	if (list_of(c, a))
		fish_list(p, list_of(c, a));
	put_z(p, "'\n");
}

static void fish_command(struct put *p, const struct command *c)
{
	struct slice words = slice_str(c->words), first;

	if (slice_cut(&words, ' ', &first))
		put_f(p, "complete -c aigwctl -n '__aigwctl_is \"" SLICE_FMT "\"' -a %s -d '",
		      SLICE_ARG(first), command_verb_text(c));
	else
		put_f(p, "complete -c aigwctl -n '__aigwctl_is \"\"' -a %s -d '", c->words);
	put_quoted(p, c->sentence, "\\'");
	put_z(p, "'\n");
	fish_first_word(p, c);
	for (size_t i = 0; i < c->args_n; i++) {
		if (c->args[i].is_option)
			fish_option(p, c, &c->args[i]);
	}
}

static void fish_mixed_line(struct put *p, const struct command_arg *with)
{
	put_f(p, "\n\t\tcase --%s\n\t\t\tswitch \"$words\"\n\t\t\tcase ", with->name);
	put_valuing(p, with, " ");
	put_z(p, "\n\t\t\t\tset skip yes\n\t\t\tend");
}

/* The words of the line so far that are neither options nor their values, and questions about them. */
static void fish_functions(struct put *p)
{
	put_z(p, "# fish completion of aigwctl: aigwctl completion fish | source\n"
		 "function __aigwctl_line\n\tset -l words\n\tset -l skip no\n"
		 "\tfor word in (commandline -opc)[2..-1]\n\t\tif test $skip = yes\n\t\t\tset skip "
		 "no\n\t\t\tcontinue\n\t\tend\n"
		 "\t\tswitch $word\n\t\tcase");
	put_valued_options(p, " ", " ");
	put_z(p, "\n\t\t\tset skip yes");
	each_mixed(p, fish_mixed_line);
	put_z(p, "\n\t\tcase '-*'\n\t\tcase '*'\n\t\t\tset -a words "
		 "$word\n\t\tend\n\tend\n"
		 "\techo \"$words\"\nend\n"
		 "function __aigwctl_is\n\tset -l line (__aigwctl_line)\n\ttest \"$line\" = "
		 "\"$argv[1]\"\nend\n"
		 "function __aigwctl_at\n\tset -l line (__aigwctl_line)\n\tstring match -q -- "
		 "\"$argv[1]*\" \"$line\"\nend\n"
		 "function __aigwctl_rows\n\tset -l words (commandline -opc)\n\tset -l socket\n"
		 "\tif set -l at (contains -i -- --socket $words)\n"
		 "\t\tset socket --socket $words[(math $at + 1)]\n\tend\n"
		 "\t$words[1] $socket --timeout 2s $argv 2>/dev/null </dev/null | "
		 "tail -n +2\nend\n"
		 "complete -c aigwctl -f\n");
}

static void fish_script(struct put *p)
{
	const struct command_group *g;
	const struct command *c;

	fish_functions(p);
	for (size_t i = 0; (g = command_group_at(i)); i++) {
		put_f(p, "complete -c aigwctl -n '__aigwctl_is \"\"' -a %s -d '", g->words);
		put_quoted(p, g->sentence, "\\'");
		put_z(p, "'\n");
	}
	for (size_t i = 0; i < command_all()->args_n; i++)
		fish_option(p, command_all(), &command_all()->args[i]);
	for (size_t i = 0; (c = command_at(i)); i++)
		fish_command(p, c);
}

bool complete_script(struct put *p, struct slice shell)
{
	if (slice_is(shell, "fish"))
		fish_script(p);
	else if (slice_is(shell, "zsh")) {
		put_z(p, "#compdef aigwctl\nautoload -Uz bashcompinit && bashcompinit\n");
		bash_script(p);
		/* From a folder of fpath the script itself is the first call. */
		put_z(p, "[[ $funcstack[1] != _aigwctl ]] || _bash_complete -F _aigwctl\n");
	} else if (slice_is(shell, "bash"))
		bash_script(p);
	else
		return false;
	return true;
}
