/* Binds on loopback and connects nowhere. */
#include "listeners.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

static struct listeners l;
static struct list fresh, gone;
static struct buf why;

static int setup(void **state)
{
	listeners_init(&l, 3);
	list_init(&fresh);
	list_init(&gone);
	buf_init(&why, 1000);
	return 0;
}

static int teardown(void **state)
{
	listeners_drop(&fresh);
	listeners_drop(&gone);
	listeners_fini(&l);
	buf_fini(&why);
	return mem_live_count() == 0 ? 0 : -1;
}

static struct settings_listener at(const char *address, const char *host, int port)
{
	return (struct settings_listener){
		.address = slice_str(address), .host = slice_str(host), .port = port};
}

static unsigned count(const struct list *rows)
{
	unsigned n = 0;

	list_each (it, rows)
		n++;
	return n;
}

static void test_one_socket_a_slot_on_one_port(void **state)
{
	const struct settings_listener v[] = {at("127.0.0.1:0", "127.0.0.1", 0)};
	const struct settings set = {
		.listeners = v, .listeners_n = 1, .admin_http = SLICE_LIT("127.0.0.1:0")};
	struct listeners_row *r;

	assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_OK);
	assert_int_equal(count(&fresh), 2);
	r = list_entry(fresh.next, struct listeners_row, node);
	assert_int_equal(r->fds_n, 3);
	assert_false(r->admin);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in a;
		socklen_t n = sizeof(a);

		assert_int_equal(getsockname(r->fds[i], (struct sockaddr *)&a, &n), 0);
		assert_int_equal(ntohs(a.sin_port), r->port);
	}
	assert_true(list_entry(fresh.prev, struct listeners_row, node)->admin);
}

static void test_what_stays_comes_and_goes(void **state)
{
	const struct settings_listener v[] = {at("127.0.0.1:0", "127.0.0.1", 0),
					      at("127.0.0.2:0", "127.0.0.2", 0),
					      at("127.0.0.3:0", "127.0.0.3", 0)};
	struct settings set = {.listeners = v, .listeners_n = 2, .admin_http = SLICE_LIT("off")};
	struct list *kept;

	assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_OK);
	list_splice_back(&l.rows, &fresh);
	kept = l.rows.next->next;
	set.listeners = v + 1;
	assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_OK);
	listeners_gone(&l, &gone);
	assert_int_equal(count(&fresh), 1);
	assert_int_equal(count(&gone), 1);
	assert_int_equal(count(&l.rows), 1);
	assert_ptr_equal(l.rows.next, kept);
	assert_string_equal(list_entry(gone.next, struct listeners_row, node)->address,
			    "127.0.0.1:0");
	assert_string_equal(list_entry(fresh.next, struct listeners_row, node)->address,
			    "127.0.0.3:0");
}

static void test_taken_port(void **state)
{
	const struct settings_listener any[] = {at("127.0.0.1:0", "127.0.0.1", 0)};
	struct settings set = {.listeners = any, .listeners_n = 1};
	struct settings_listener same;
	struct listeners other;
	char text[32];

	assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_OK);
	list_splice_back(&l.rows, &fresh);
	listeners_init(&other, 1);
	snprintf(text, sizeof(text), "127.0.0.1:%d",
		 list_entry(l.rows.next, struct listeners_row, node)->port);
	same = at(text, "127.0.0.1", list_entry(l.rows.next, struct listeners_row, node)->port);
	set.listeners = &same;
	assert_int_equal(listeners_plan(&other, &set, true, &fresh, &why), ERRC_EXISTS);
	assert_true(list_is_empty(&fresh));
	assert_non_null(strstr(buf_cstr(&why), "already in use"));
	/* Beside an older master's processes it may be shared. */
	assert_int_equal(listeners_plan(&other, &set, false, &fresh, &why), ERRC_OK);
	listeners_fini(&other);
}

static void test_odd_addresses(void **state)
{
	static const char *const admins[] = {"nonsense", "127.0.0.1:99999", "127.0.0.1:", ":1x"};
	struct settings set = {0};

	for (size_t i = 0; i < ARRAY_LEN(admins); i++) {
		set.admin_http = slice_str(admins[i]);
		assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_SYNTAX);
	}
	set.admin_http = SLICE_LIT("[::1]:0");
	assert_int_equal(listeners_plan(&l, &set, true, &fresh, &why), ERRC_OK);
}

static void test_no_memory(void **state)
{
	const struct settings_listener v[] = {at("127.0.0.1:0", "127.0.0.1", 0)};
	const struct settings set = {
		.listeners = v, .listeners_n = 1, .admin_http = SLICE_LIT("127.0.0.1:0")};
	unsigned n = 0;
	enum errc e;

	do {
		mem_fail_after(++n);
		e = listeners_plan(&l, &set, true, &fresh, &why);
		mem_fail_after(0);
		if (e)
			assert_true(list_is_empty(&fresh));
	} while (e == ERRC_NOMEM);
	assert_int_equal(e, ERRC_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_socket_a_slot_on_one_port),
		T(test_what_stays_comes_and_goes),
		T(test_taken_port),
		T(test_odd_addresses),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
