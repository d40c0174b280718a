#include "term.h"

#include <sys/ioctl.h>
#include <unistd.h>

const char *term_env(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++) {
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	}
	return NULL;
}

bool term_size(const struct term *t, size_t *width, size_t *height)
{
	struct winsize w;

	if (!t->is_tty || ioctl(t->fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
		return false;
	*width = w.ws_col;
	*height = w.ws_row;
	return true;
}

void term_init(struct term *t, int fd, char *const *env)
{
	const char *no_color = term_env(env, "NO_COLOR"), *kind = term_env(env, "TERM");
	size_t height;

	*t = (struct term){.fd = fd, .is_tty = isatty(fd)};
	t->has_color = t->is_tty && !(no_color && no_color[0]) &&
		       !(kind && strcmp(kind, "dumb") == 0);
	if (!term_size(t, &t->width, &height))
		t->width = t->is_tty ? 80 : 0;
}

void term_put(const struct term *t, struct put *p, enum term_color c, struct slice text)
{
	static const char *const codes[] = {[TERM_BOLD] = "\033[1m",
					    [TERM_DIM] = "\033[2m",
					    [TERM_GOOD] = "\033[32m",
					    [TERM_WARN] = "\033[33m",
					    [TERM_BAD] = "\033[31m"};
	bool colored = t->has_color && c != TERM_PLAIN && text.n;

	if (colored)
		put_z(p, codes[c]);
	put_safe(p, text);
	if (colored)
		put_z(p, "\033[0m");
}

enum term_color term_color_of(struct slice state)
{
	static const struct {
		const char *word;
		enum term_color color;
	} words[] = {
		{"active", TERM_GOOD},   {"closed", TERM_GOOD},    {"good", TERM_GOOD},
		{"ready", TERM_GOOD},    {"serving", TERM_GOOD},   {"added", TERM_GOOD},
		{"draining", TERM_WARN}, {"starting", TERM_WARN},  {"suspended", TERM_WARN},
		{"cooling", TERM_WARN},  {"half-open", TERM_WARN}, {"slow start", TERM_WARN},
		{"degraded", TERM_WARN}, {"warning", TERM_WARN},   {"expired", TERM_WARN},
		{"changed", TERM_WARN},  {"open", TERM_BAD},       {"out", TERM_BAD},
		{"revoked", TERM_BAD},   {"empty", TERM_BAD},      {"commit failed", TERM_BAD},
		{"read-only", TERM_BAD}, {"error", TERM_BAD},      {"removed", TERM_BAD},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_is(state, words[i].word))
			return words[i].color;
	}
	return TERM_PLAIN;
}
