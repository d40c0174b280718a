#include "config_secret.h"

#include "caps.h"

#define SECRET_MAX (64 * 1024)

bool config_secret_is_reference(struct slice text)
{
	return slice_has_prefix(text, SLICE_LIT("env:")) ||
	       slice_has_prefix(text, SLICE_LIT("file:"));
}

bool config_secret_is_name(struct slice name)
{
	static const char *const words[] = {"auth",   "key",      "token", "secret",
					    "cookie", "password", "sig"};
	char low[64];

	if (name.n > sizeof(low))
		return true;
	for (size_t i = 0; i < name.n; i++)
		low[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_find(slice_of(low, name.n), slice_str(words[i])) >= 0)
			return true;
	}
	return false;
}

/* Spaces and line ends around a value are a pasted file's, not the value's. */
static struct slice trimmed(struct slice s)
{
	while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	while (s.n && (unsigned char)s.p[0] <= ' ')
		s = slice_sub(s, 1, s.n);
	return s;
}

bool config_secret_is_clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	}
	return true;
}

static enum config_secret_state read_env(struct config_ctx *x, struct slice name, struct slice *out)
{
	struct slice v = trimmed(config_ctx_env(x, name));

	if (v.n == 0)
		return CONFIG_SECRET_UNSET;
	*out = arena_dup(x->a, v);
	if (out->p)
		config_ctx_wipe_later(x, *out);
	else
		config_ctx_nomem(x);
	return out->p ? CONFIG_SECRET_SET : CONFIG_SECRET_BAD;
}

static enum config_secret_state read_file(struct config_ctx *x, struct yaml_pos pos,
					  const char *path, struct slice file, bool optional,
					  struct slice *out)
{
	const char *why = "";
	struct slice all;
	enum errc rc;

	rc = config_ctx_read_file(x, file.p, CONFIG_CTX_OWNER, SECRET_MAX, &all, &why);
	config_ctx_wipe_later(x, all);
	if (rc == ERRC_NOTFOUND && optional)
		return CONFIG_SECRET_UNSET;
	if (rc != ERRC_OK) {
		config_ctx_error(x, pos, "`%s`: cannot read %s: %s", path, file.p, why);
		return CONFIG_SECRET_BAD;
	}
	*out = trimmed(all);
	if (out->n)
		return CONFIG_SECRET_SET;
	config_ctx_error(x, pos, "`%s`: %s is empty", path, file.p);
	return CONFIG_SECRET_BAD;
}

enum config_secret_state config_secret_read(struct config_ctx *x, struct yaml_node *n,
					    const char *path, struct slice *out)
{
	struct slice rest = n->text, kind;
	bool optional = slice_has_suffix(rest, SLICE_LIT("?"));
	enum config_secret_state state;

	*out = SLICE_NONE;
	(void)slice_cut(&rest, ':', &kind);
	if (optional)
		rest.n--;
	if (rest.n == 0) {
		config_ctx_error(x, n->pos, "`%s` must be env:NAME or file:PATH", path);
		return CONFIG_SECRET_BAD;
	}
	if (slice_is(kind, "env")) {
		state = read_env(x, rest, out);
	} else {
		struct slice file = config_ctx_absolute(
			x, n->pos, config_ctx_fmt(x, SLICE_FMT, SLICE_ARG(rest)));

		n->text = config_ctx_fmt(x, "file:" SLICE_FMT "%s", SLICE_ARG(file),
					 optional ? "?" : "");
		state = read_file(x, n->pos, path, file, optional, out);
	}
	if (state == CONFIG_SECRET_SET && !config_secret_is_clean(*out)) {
		config_ctx_error(x, n->pos,
				 "`%s`: the value of %s holds a control or non-ASCII character",
				 path, n->text.p);
		return CONFIG_SECRET_BAD;
	}
	if (out->n > LIMIT_HEADERS_UP) {
		config_ctx_error(x, n->pos, "`%s`: the value of %s has more than %d bytes", path,
				 n->text.p, LIMIT_HEADERS_UP);
		return CONFIG_SECRET_BAD;
	}
	return state == CONFIG_SECRET_UNSET && optional ? CONFIG_SECRET_MISSING : state;
}
