#include "config_message.h"

#include "text.h"

/* "file:line:column: text". A file's name may hold colons: the place is the first number pair behind one. */
static bool parse_place(struct slice s, struct config_message *m)
{
	for (size_t i = 0; i < s.n; i++) {
		struct slice rest = slice_sub(s, i + 1, s.n), line, column;

		if (s.p[i] != ':' || !slice_cut(&rest, ':', &line) ||
		    !slice_cut(&rest, ':', &column))
			continue;
		if (!text_u64(line, &m->line) || !text_u64(column, &m->column))
			continue;
		m->file = slice_sub(s, 0, i);
		m->text = slice_trim(rest);
		return true;
	}
	return false;
}

static void parse(struct slice s, struct config_message *m)
{
	static const struct slice nowhere = {"(default): ", 11}, warning = {"warning: ", 9};

	*m = (struct config_message){.level = SLICE_LIT("error"), .text = s};
	if (!parse_place(s, m)) {
		m->line = m->column = 0;
		if (slice_has_prefix(s, nowhere))
			m->text = slice_sub(s, nowhere.n, s.n);
	}
	if (slice_has_prefix(m->text, warning)) {
		m->level = SLICE_LIT("warning");
		m->text = slice_sub(m->text, warning.n, m->text.n);
	}
}

bool config_message_next(struct slice *lines, struct config_message *out)
{
	struct slice one = SLICE_NONE;

	while (lines->n && one.n == 0)
		(void)slice_cut(lines, '\n', &one);
	if (one.n)
		parse(one, out);
	return one.n != 0;
}

bool config_message_first_error(struct slice lines, struct config_message *out)
{
	while (config_message_next(&lines, out)) {
		if (slice_is(out->level, "error"))
			return true;
	}
	return false;
}

struct slice config_message_cut_last(struct slice *lines)
{
	size_t end = lines->n, at;

	while (end && lines->p[end - 1] == '\n')
		end--;
	for (at = end; at && lines->p[at - 1] != '\n'; at--)
		;
	struct slice last = slice_sub(*lines, at, end - at);

	*lines = slice_sub(*lines, 0, at);
	return last;
}
