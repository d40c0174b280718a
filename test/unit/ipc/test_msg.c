#include "msg.h"

#include <stdio.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"
#include "mpack.h"

static const struct {
	enum msg_type type;
	unsigned places;
	size_t limit;
	unsigned fds;
} rows[] = {
#define MSG(NAME, name, places, limit, fds) {MSG_##NAME, places, limit, fds},
#define MSG_FIELD(name, kind, field)
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
};

/* Every field of a message, whatever the message is, as text: for comparison. */
static size_t print(const struct msg *m, char *out, size_t max)
{
	size_t n = 0;

#define PRINT_U64(v)                        n += (size_t)snprintf(out + n, max - n, "%llu;", (unsigned long long)(v))
#define PRINT_I64(v)                        n += (size_t)snprintf(out + n, max - n, "%lld;", (long long)(v))
#define PRINT_STR(v)                        n += (size_t)snprintf(out + n, max - n, SLICE_FMT ";", SLICE_ARG(v))
#define PRINT_BIN(v)                        PRINT_STR(v)
#define MSG(NAME, name, places, limit, fds) if (m->type == MSG_##NAME) {
#define MSG_FIELD(name, kind, field)        PRINT_##kind(m->name.field);
#define MSG_END(name)                       }
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
	return n;
}

/* A different value for each field. */
static void fill(struct msg *m)
{
	static const char texts[8][8] = {"", "a", "bc", "def", "ghij", "klmno", "pqrstu", "v"};
	uint64_t k = 1;

#define FILL_U64                            UINT64_MAX / k++
#define FILL_I64                            -(int64_t)k++
#define FILL_STR                            slice_str(texts[k++ % 8])
#define FILL_BIN                            slice_str(texts[k++ % 8])
#define MSG(NAME, name, places, limit, fds) if (m->type == MSG_##NAME) {
#define MSG_FIELD(name, kind, field)        m->name.field = FILL_##kind;
#define MSG_END(name)                       }
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
}

static void test_round_trip_and_every_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg m = {.type = rows[i].type}, got;
		char want[512] = "", have[512] = "";
		struct buf b;

		fill(&m);
		buf_init(&b, 1 << 20);
		assert_int_equal(msg_encode(&m, &b), ERRC_OK);
		for (unsigned place = 1; place <= MSG_AT_CTL; place <<= 1) {
			enum errc e =
				msg_decode(buf_slice(&b), rows[i].fds, (enum msg_place)place, &got);

			assert_int_equal(e, rows[i].places & place ? ERRC_OK : ERRC_PROTOCOL);
			if (e)
				continue;
			assert_int_equal(got.type, m.type);
			assert_int_equal(print(&m, want, sizeof(want)),
					 print(&got, have, sizeof(have)));
			assert_string_equal(want, have);
			assert_int_equal(msg_decode(buf_slice(&b), rows[i].fds + 1,
						    (enum msg_place)place, &got),
					 ERRC_PROTOCOL);
			for (size_t cut = 0; cut < b.len; cut++)
				assert_int_equal(msg_decode(slice_of(b.p, cut), 0,
							    (enum msg_place)place, &got),
						 ERRC_PROTOCOL);
		}
		assert_int_equal(buf_addc(&b, 0), ERRC_OK);
		assert_int_equal(msg_decode(buf_slice(&b), 0,
					    (enum msg_place)(rows[i].places & -rows[i].places),
					    &got),
				 ERRC_PROTOCOL);
		buf_fini(&b);
	}
}

static void test_limits_of_rows(void **state)
{
	static char text[8192];
	struct msg m = {.type = MSG_REJECTED, .rejected = {1, {text, 4000}}};
	struct buf b;

	memset(text, 'x', sizeof(text));
	buf_init(&b, 1 << 20);
	assert_int_equal(msg_encode(&m, &b), ERRC_OK);
	m.rejected.text.n = 4096;
	assert_int_equal(msg_encode(&m, &b), ERRC_TOOBIG);
	buf_reset(&b);
	m = (struct msg){.type = MSG_COMMIT, .fds_n = 1};
	assert_int_equal(msg_encode(&m, &b), ERRC_INVAL);
	buf_fini(&b);
}

static void decode_fails(const unsigned char *p, size_t n)
{
	struct msg got;

	assert_int_equal(msg_decode(slice_of(p, n), 0, MSG_AT_WORKER, &got), ERRC_PROTOCOL);
}

static void test_odd_payloads(void **state)
{
	static const unsigned char unknown[] = {0x92, 0xcc, 200, 1}, few[] = {0x91, MSG_COMMIT},
				   many[] = {0x93, MSG_COMMIT, 1, 2},
				   text[] = {0x92, MSG_COMMIT, 0xa1, 'x'},
				   negative[] = {0x92, MSG_COMMIT, 0xff},
				   huge[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 1},
				   map[] = {0x81, MSG_COMMIT, 1};

	decode_fails(unknown, sizeof(unknown));
	decode_fails(few, sizeof(few));
	decode_fails(many, sizeof(many));
	decode_fails(text, sizeof(text));
	decode_fails(negative, sizeof(negative));
	decode_fails(huge, sizeof(huge));
	decode_fails(map, sizeof(map));
}

static void test_names(void **state)
{
	assert_string_equal(msg_name(MSG_PREPARE), "PREPARE");
	assert_string_equal(msg_name(MSG_COUNT), "?");
}

struct takes {
	unsigned n, stop_at;
};

static bool take(void *arg, struct msg *m)
{
	struct takes *t = arg;

	assert_int_equal(m->type, MSG_COMMIT);
	assert_int_equal(m->commit.generation, ++t->n);
	return t->n != t->stop_at;
}

/* Over a socketpair: everything that was sent is given before the peer's end is told, also when a taker stopped in between. */
static void test_receive(void **state)
{
	struct takes t = {.stop_at = 2};
	struct chan from, to;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	chan_init(&from, sv[0], LIMIT_FRAME_IPC);
	chan_init(&to, sv[1], LIMIT_FRAME_IPC);
	assert_int_equal(msg_receive(&to, MSG_AT_WORKER, take, &t), ERRC_OK);
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(msg_send(&from, &(struct msg){.type = MSG_COMMIT,
							       .commit = {.generation = i}}),
				 ERRC_OK);
	chan_fini(&from);
	assert_int_equal(msg_receive(&to, MSG_AT_WORKER, take, &t), ERRC_OK);
	assert_int_equal(t.n, 2);
	assert_int_equal(msg_receive(&to, MSG_AT_WORKER, take, &t), ERRC_EOF);
	assert_int_equal(t.n, 3);
	chan_fini(&to);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_and_every_cut),
		cmocka_unit_test(test_limits_of_rows),
		cmocka_unit_test(test_odd_payloads),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_receive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
