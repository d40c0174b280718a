/* The calls of one worker without a socket: a client and providers over scripted transports, real stores in a temporary folder, a clock that the
 * test moves. Every function fails the test when what it asks for does not happen. */
#ifndef AIGW_TEST_SCENE_H
#define AIGW_TEST_SCENE_H

#include "rig.h"

#include "call_state.h"
#include "mem_xport.h"

#define SCENE_UPS 8

struct scene {
	uv_loop_t loop;
	struct turn *turn;
	struct dns *dns;
	struct upool *pool;
	struct page *page;
	char page_path[160];
	struct rig rig;
	uint64_t account;
	struct rows_scope key;
	char key_text[APIKEY_TEXT + 1];
	struct peppers peppers;
	struct call_host *calls;
	struct down_host *clients;
	struct mem_xport *client;
	bool client_trusted; /* it is a trusted proxy, as are those of 10.0.0.0/8; for the next scene_rejoin() */
	struct mem_xport *up[SCENE_UPS];
	unsigned up_n;
	int64_t now_ms;
	unsigned rings, lookups; /* what the keeper was asked for */
	uint64_t lookup_seq;
	enum errc lookup_errc; /* what asking it returns */
	bool left_to_keeper;   /* the test leaves a hold to it, with its slot of progress */
};

/* Settings that differ from the defaults, as YAML; NULL: none. For the next scene_setup(). */
extern const char *scene_settings;

/* cmocka's setup and teardown; the argument becomes a struct scene. The account has 10 dollars, its key no limits. Providers `one` (two keys) and
 * `two` speak OpenAI's dialect, `three` Anthropic's. Models: `m` (one, then two), `solo` (one), `deep` (three), `both` (one, then three), each 1 dollar a
 * million tokens in and 2 out, `dear` (one, at a price beyond the account's credit; then two, with 0.01 dollars an image, 0.03 a search). Checks at the end that no call is left, no hold and no memory, and that the books agree. */
int scene_setup(void **state);
int scene_teardown(void **state);

/* An idle connection of the provider's pool, on whose other side the test is. */
struct mem_xport *scene_up(struct scene *s, const char *provider);

/* The client sends a request with its key; `head` is its request line and further fields ("" or lines that end with CRLF). */
void scene_send(struct scene *s, const char *line, const char *fields, const char *body);
/* What an OpenAI provider answers: a whole answer, a text of a stream, its end with usage; and what that usage costs by the scene's prices. */
extern const char scene_whole[], scene_text[], scene_finish[];
#define SCENE_COST_NUSD (10 * 1000 + 5 * 2000)

/* A chat for this model: whole, or a stream. */
void scene_chat(struct scene *s, const char *model, bool stream);
/* One whose body is so long that a thread reads it for another dialect; the call waits for that at CALL_READ. */
void scene_chat_long(struct scene *s, const char *model, bool stream);
/* A provider's answer in full, or its head and then pieces of a stream. */
void scene_answer(struct scene *s, struct mem_xport *up, int status, const char *fields,
		  const char *body);
void scene_stream(struct scene *s, struct mem_xport *up);
void scene_item(struct scene *s, struct mem_xport *up, const char *data);
void scene_stream_end(struct scene *s, struct mem_xport *up);

/* The client's connection is gone: a new one. */
void scene_rejoin(struct scene *s);
/* The worker's end, whatever runs, and a new one. */
void scene_restart(struct scene *s);
/* Writes s->key into the stores after the test changed it. */
void scene_key(struct scene *s);

/* Turns until nothing moves. */
void scene_run(struct scene *s);
void scene_advance(struct scene *s, int64_t ms);
/* The client takes no bytes: an answered call stays at SENT, where it can be looked at. */
void scene_hold_client(struct scene *s);
void scene_release_client(struct scene *s);

/* All connections to providers end. */
void scene_end_up(struct scene *s, bool reset);
/* Whatever is left ends; and the keeper takes the records. */
void scene_clear(struct scene *s);
/* No breaker opens from now on, and each request may be tried again. */
void scene_break_none(struct scene *s);

/* The one call that there is. */
struct call *scene_call(struct scene *s);
/* It waits at this step. */
struct call *scene_at(struct scene *s, enum call_step step);
/* With the client held: the call ended so and answers with this status and code; lets the answer out. */
void scene_expect(struct scene *s, enum record_end end, int status, const char *code);
/* No call is left. */
void scene_none(struct scene *s);
/* What the client has got has this text in it. */
void scene_expect_out(struct scene *s, const char *text);
/* The outbox's last record, of a settled call; valid until the next call. */
struct record_charge *scene_charge(struct scene *s);

#endif
