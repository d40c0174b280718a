#include "fault_write.h"

#include "clock.h"
#include "json_out.h"

static void fw_text(struct json_out *o, const char *key, const char *s)
{
	if (s[0])
		json_out_kstrz(o, key, s);
}

static void fw_amount(struct json_out *o, const char *key, const struct fault *f, int64_t v)
{
	json_out_key(o, key);
	if (f->unit == FAULT_UNIT_NUSD)
		json_out_decimal_str(o, v, 9, 1);
	else
		json_out_i64(o, v);
}

static const char *fw_unit(enum fault_unit u)
{
	static const char *const names[] = {"", "usd", "requests", "tokens", "concurrent requests"};

	return names[(unsigned)u < ARRAY_LEN(names) ? u : 0];
}

/* The scope that refused, its limit, what remains, when it resets. */
static void fw_scope(struct json_out *o, const struct fault *f)
{
	char when[CLOCK_TEXT_MAX];

	fw_text(o, "scope", f->scope);
	if (f->unit != FAULT_UNIT_NONE) {
		fw_amount(o, "limit", f, f->limit);
		fw_amount(o, "remaining", f, f->remaining);
		json_out_kstrz(o, "unit", fw_unit(f->unit));
	}
	if (f->reset_wall_ms) {
		json_out_key(o, "reset");
		json_out_str(o, slice_of(when, clock_format_ms(f->reset_wall_ms, when)));
	}
	if (f->affordable_tokens)
		json_out_ki64(o, "affordable_tokens", f->affordable_tokens);
}

static void fw_attempts(struct json_out *o, const struct fault *f)
{
	if (!f->attempts_n)
		return;
	json_out_key(o, "attempts");
	json_out_arr(o);
	for (size_t i = 0; i < f->attempts_n; i++) {
		const struct fault_attempt *a = &f->attempts[i];

		json_out_obj(o);
		json_out_kstr(o, "provider", a->provider);
		json_out_kstr(o, "model", a->model);
		if (a->status)
			json_out_ki64(o, "status", a->status);
		fw_text(o, "code", a->code);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void fw_metadata(struct json_out *o, const struct fault *f, struct slice request_id)
{
	json_out_key(o, "metadata");
	json_out_obj(o);
	json_out_ki64(o, "status", fault_status(f));
	if (request_id.n)
		json_out_kstr(o, "request_id", request_id);
	fw_text(o, "provider", f->provider);
	fw_text(o, "provider_code", f->provider_code);
	if (f->provider_status)
		json_out_ki64(o, "provider_status", f->provider_status);
	fw_scope(o, f);
	fw_text(o, "generation_id", f->generation_id);
	fw_attempts(o, f);
	json_out_obj_end(o);
}

enum errc fault_write_openai(const struct fault *f, struct slice request_id, struct buf *out)
{
	const struct fault_row *row = fault_row(f->kind);
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_key(&o, "error");
	json_out_obj(&o);
	json_out_kstrz(&o, "message", fault_message(f));
	json_out_kstrz(&o, "type", row->openai_type);
	json_out_kstrz(&o, "param", f->param[0] ? f->param : NULL);
	json_out_kstrz(&o, "code", row->openai_code);
	fw_metadata(&o, f, request_id);
	json_out_obj_end(&o);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

enum errc fault_write_openai_event(const struct fault *f, struct slice request_id, struct buf *out)
{
	size_t len = out->len;
	enum errc e = buf_addz(out, "data: ");

	if (!e)
		e = fault_write_openai(f, request_id, out);
	if (!e)
		e = buf_addz(out, "\n\n");
	if (e)
		buf_truncate(out, len);
	return e;
}

enum errc fault_write_anthropic(const struct fault *f, struct slice request_id, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_kstrz(&o, "type", "error");
	json_out_key(&o, "error");
	json_out_obj(&o);
	json_out_kstrz(&o, "type", fault_row(f->kind)->anthropic_type);
	json_out_kstrz(&o, "message", fault_message(f));
	json_out_obj_end(&o);
	json_out_kstr(&o, "request_id", request_id);
	json_out_obj_end(&o);
	return json_out_end(&o);
}
