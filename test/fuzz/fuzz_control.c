/* A control frame of anybody: what is decoded is encoded to a payload that decodes to the same; fields survive likewise. */
#include "control.h"
#include "fuzz.h"

static void check_fields(struct slice in)
{
	struct control_field f[CONTROL_FIELDS_MAX], again[CONTROL_FIELDS_MAX];
	struct slice text;
	struct buf out;
	size_t n, n2;
	int64_t v;

	if (control_decode(in, f, ARRAY_LEN(f), &n))
		return;
	(void)control_get_str(f, n, "name", &text);
	(void)control_get_i64(f, n, "credit_nusd", &v);
	buf_init(&out, in.n * 8 + 1024);
	require(control_encode(f, n, &out) == ERRC_OK);
	require(control_decode(buf_slice(&out), again, ARRAY_LEN(again), &n2) == ERRC_OK && n2 == n);
	for (size_t i = 0; i < n; i++)
		require(again[i].type == f[i].type && slice_eq(again[i].name, f[i].name));
	buf_fini(&out);
}

static void check_message(struct slice payload, unsigned fds_n, enum msg_place place)
{
	struct msg m, again;
	struct buf out;

	if (msg_decode(payload, fds_n, place, &m))
		return;
	buf_init(&out, payload.n * 8 + 1024);
	/* Numbers may have been written longer than they need: only what still fits the row's limit must encode. */
	if (msg_encode(&m, &out) == ERRC_OK) {
		require(msg_decode(buf_slice(&out), fds_n, place, &again) == ERRC_OK &&
			again.type == m.type);
	}
	buf_fini(&out);
	if (m.type == MSG_REQUEST)
		check_fields(m.request.args);
	if (m.type == MSG_ROW)
		check_fields(m.row.fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of(data, n);
	struct frame f;

	while (frame_parse(in, LIMIT_FRAME_CONTROL, &f) == 1) {
		for (unsigned place = 1; place <= MSG_AT_CTL; place <<= 1)
			check_message(f.payload, f.fds_n, (enum msg_place)place);
		in = slice_sub(in, f.total, in.n);
	}
	check_fields(slice_of(data, n));
	return 0;
}
