#include "messages.h"

#include "config_message.h"

enum errc messages_add(struct ask_answer *a, struct slice lines)
{
	struct config_message m;
	enum errc e = ERRC_OK;

	while (!e && config_message_next(&lines, &m)) {
		const struct control_field f[] = {
			CONTROL_S("level", m.level), CONTROL_S("file", m.file),
			CONTROL_I("line", m.line), CONTROL_I("column", m.column),
			CONTROL_S("text", m.text)};

		e = ask_add(a, "message", f, ARRAY_LEN(f));
	}
	return e;
}

void messages_put(const struct ask_answer *a, const struct term *t, struct put *p)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct ask_row *r = &a->rows[i];
		struct slice level = ask_str(r, "level");

		if (!slice_is(r->kind, "message"))
			continue;
		if (ask_str(r, "file").n) {
			put_safe(p, ask_str(r, "file"));
			put_f(p, ":%lld:%lld: ", (long long)ask_i64(r, "line"),
			      (long long)ask_i64(r, "column"));
		}
		term_put(t, p, term_color_of(level), level);
		put_z(p, ": ");
		put_safe(p, ask_str(r, "text"));
		put_z(p, "\n");
	}
}
