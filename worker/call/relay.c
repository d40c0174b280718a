#include "relay.h"

#include "text.h"
#include "usage_raw.h"

#define USAGE_EXTRA 128 /* what the usage may gain on the way */
#define RAW_MORE    32  /* that a later usage is longer */

#define RAW_SAID_MAX \
	2048 /* bytes of a usage object that is kept as it came; USAGE_RAW_MAX at least */

/* No text is mostly made of longer tokens than this: an answer that its provider ends in time is never taken for one that is too long. */
#define TOKEN_BYTES 8

/* Few tokens are longer than those, and none than this (a line of dashes). */
#define TOKEN_BYTES_MAX 128

/* Nor of shorter ones. */
#define TOKEN_BYTES_MIN 2

/* Any picture is more tokens than this. */
#define PICTURE_MIN 16

/* The same of sound, in base64: 16 kbit a second at 20 tokens of it, and more than any of them sends. */
#define SOUND_BYTES     128
#define SOUND_BYTES_MAX 8192

bool relay_has_media(const struct relay *r)
{
	return r->sound_bytes > 0 || r->pictures > 0;
}

bool relay_is_behind(const struct relay *r)
{
	return r->reported && !r->last_word && relay_has_media(r) &&
	       (r->told.pictures < r->pictures || r->told.sound_bytes < r->sound_bytes);
}

bool relay_is_cut(const struct relay *r)
{
	if (!r->finish || r->stopped)
		return true;
	return r->reported && !(r->last_word && (r->ended || r->counts_all));
}

bool relay_is_reported(const struct relay *r)
{
	return r->reported && !relay_is_cut(r) && !relay_is_behind(r);
}

enum errc relay_init(struct relay *r, const struct relay_opts *o)
{
	memset(r, 0, sizeof(*r));
	r->front = o->front;
	r->back = o->back;
	r->stream = o->stream;
	buf_init(&r->out, o->out_max);
	buf_init(&r->tail, o->out_max);
	usage_init(&r->usage);
	r->room = o->stream ? o->room : NULL;
	r->room_arg = o->room_arg;
	r->output_asked = o->output_asked;
	r->picture_tokens = MAX_OF(o->picture_tokens, 1);
	r->output_max = r->room ? o->output_asked : INT64_MAX;
	r->dec = arena_zero(o->arena, o->back->dec_size);
	r->enc = arena_zero(o->arena, o->front->enc_size);
	if (!r->dec || !r->enc) {
		r->dec = r->enc = NULL;
		return ERRC_NOMEM;
	}
	r->dec_opts = (struct dialect_dec_opts){.facts = o->facts,
						.provider = o->provider,
						.stream = o->stream,
						.raw = dialect_is_same(o->front, o->back),
						.whole_bytes = o->whole_bytes};
	r->enc_opts = (struct dialect_enc_opts){
		.facts = o->facts, .env = o->env, .stream = o->facts->stream};
	r->back->dec_init(r->dec, &r->dec_opts);
	r->front->enc_init(r->enc, &r->enc_opts);
	return ERRC_OK;
}

void relay_fini(struct relay *r)
{
	if (r->dec)
		r->back->dec_fini(r->dec);
	if (r->enc)
		r->front->enc_fini(r->enc);
	r->dec = r->enc = NULL;
	if (r->front) {
		buf_fini(&r->out);
		buf_fini(&r->tail);
	}
}

bool relay_fault(enum errc e, struct fault *f)
{
	if (e == ERRC_SYNTAX || e == ERRC_DEPTH) {
		fault_set(f, FAULT_UPSTREAM, "The provider's answer is not readable.");
		return true;
	}
	fault_errc(f, e, "answer");
	return false;
}

static void fail_errc(struct relay *r, enum errc e)
{
	r->failed = true;
	r->verdict = (struct dialect_verdict){.breaks = true};
	if (!relay_fault(e, &r->fault))
		r->errc = e;
}

static void ask_room(struct relay *r)
{
	r->output_max = r->room(r->room_arg, &r->usage);
	/* How many tokens they have nobody knows: what was asked for is the most. */
	if (relay_has_media(r))
		r->output_max = MIN_OF(r->output_max, r->output_asked);
	r->asked = true;
}

/* Reasoning became more: at another price less may fit, but never less than what was asked for beside this input. */
static void doubt_room(struct relay *r)
{
	r->output_max = MIN_OF(r->output_max, r->output_asked);
	r->asked = false;
}

static struct relay_came came(const struct relay *r)
{
	return (struct relay_came){.is_told = true,
				   .seen = relay_seen(r),
				   .reasoning = relay_seen_reasoning(r),
				   .events = r->content_events - r->media_events,
				   .bytes = r->content_bytes,
				   .reasoning_events = r->reasoning_events,
				   .reasoning_bytes = r->reasoning_bytes,
				   .sounds = r->sounds,
				   .sound_bytes = r->sound_bytes,
				   .pictures = r->pictures};
}

/* The most that may be something else than pictures of the output that is reported. */
static int64_t beside_pictures(const struct relay *r)
{
	const struct relay_came all = came(r);
	int64_t text = (int64_t)MAX_OF(r->content_events - r->media_events,
				       r->content_bytes / TOKEN_BYTES_MIN);
	int64_t shown = (int64_t)MAX_OF(r->reasoning_events, r->reasoning_bytes / TOKEN_BYTES_MIN);
	int64_t hidden = MAX_OF(usage_reasoning(&r->usage) - shown, 0);

	return text + hidden +
	       (usage_has(&r->usage, USAGE_OUTPUT_AUDIO) ? usage_get(&r->usage, USAGE_OUTPUT_AUDIO)
							 : relay_seen_sound(&all));
}

/* Some providers report on the way what the text is and only at the end what the pictures are. */
static void learn_told(struct relay *r, int64_t pictures_before)
{
	int64_t output = usage_output_total(&r->usage), beside = beside_pictures(r);
	int64_t more = output - r->told_output - (beside - r->told_beside);
	uint64_t told = r->told.pictures, fresh = r->pictures - told;
	bool covers = r->last_word || r->usage.undivided ||
		      usage_get(&r->usage, USAGE_OUTPUT_IMAGE) > pictures_before ||
		      more >= PICTURE_MIN * (int64_t)MIN_OF(fresh, (uint64_t)USAGE_MAX);

	r->told = came(r);
	if (fresh > 0 && !covers) {
		r->told.pictures = told;
		return;
	}
	r->told_output = MAX_OF(output, relay_seen(r));
	r->told_beside = beside;
}

static void learn_usage(struct relay *r, const struct usage *u, struct relay_gain *gain)
{
	int64_t input = usage_input_total(&r->usage), reasoning = usage_reasoning(&r->usage);
	int64_t pictures = usage_get(&r->usage, USAGE_OUTPUT_IMAGE);

	usage_merge(&r->usage, u);
	if (u->undivided ? r->usage.undivided : usage_output_total(u) > 0)
		learn_told(r, pictures);
	if (r->room && usage_input_total(&r->usage) != input)
		ask_room(r);
	else if (r->room && usage_reasoning(&r->usage) != reasoning)
		doubt_room(r);
	r->reported = true;
	r->usage_positive = usage_total(&r->usage) > 0;
	gain->usage = true;
}

static bool raw_reserve(struct relay *r, size_t n, struct arena *a)
{
	if (n > r->usage_raw_room) {
		r->usage_raw_room = MAX_OF(n + RAW_MORE, 2 * r->usage_raw_room);
		r->usage_raw = arena_get(a, r->usage_raw_room);
		if (!r->usage_raw)
			r->usage_raw_room = 0;
	}
	return n <= r->usage_raw_room; /* without memory the record goes without it */
}

/* Its bytes are gone with the next push. The room is used again, for some providers report with every item, and for them it is made fit for
 * a record only at the end; what is very long is so at once. */
static void keep_raw(struct relay *r, const struct ir_event *ev, struct arena *a)
{
	struct slice raw = ev->usage_json.n ? ev->usage_json : ev->usage_raw;

	r->usage_raw_n = 0;
	r->usage_raw_said = ev->usage_json.n > 0;
	if (raw.n == 0 || !raw_reserve(r, MIN_OF(raw.n, (size_t)RAW_SAID_MAX), a))
		return;
	if (raw.n > RAW_SAID_MAX) {
		r->usage_raw_said = false;
		r->usage_raw_n = usage_raw_write(raw, 0, r->usage_raw, USAGE_RAW_MAX);
		return;
	}
	memcpy(r->usage_raw, raw.p, raw.n);
	r->usage_raw_n = raw.n;
}

struct slice relay_usage_raw(struct relay *r, struct arena *a)
{
	size_t cap = MIN_OF(r->usage_raw_n + USAGE_RAW_MARK + 2, (size_t)USAGE_RAW_MAX);
	struct slice raw = slice_of(r->usage_raw, r->usage_raw_n);

	if (!r->usage_raw_said || !raw.n)
		return raw;
	r->usage_raw_said = false;
	r->usage_raw_n = 0;
	r->usage_raw = arena_get(a, cap);
	r->usage_raw_room = r->usage_raw ? cap : 0;
	if (r->usage_raw)
		r->usage_raw_n = usage_raw_write(raw, 0, r->usage_raw, cap);
	return slice_of(r->usage_raw, r->usage_raw_n);
}

/* Nothing but a word goes into the record. */
static void keep_finish(struct relay *r, const struct ir_event *ev)
{
	r->finish_kind = ev->finish;
	r->finish_word_n = 0;
	if (!text_is_word(ev->native, sizeof(r->finish_word)))
		return;
	memcpy(r->finish_word, ev->native.p, ev->native.n);
	r->finish_word_n = ev->native.n;
}

static void learn_media(struct relay *r, const struct ir_event *ev)
{
	r->media_events += ev->content_bytes == 0;
	r->sounds += ev->content_bytes == 0 && ev->sound_bytes > 0;
	r->sound_bytes += ev->sound_bytes;
	r->pictures += ev->pictures;
	if (r->room)
		doubt_room(r);
}

static void learn_content(struct relay *r, const struct ir_event *ev, struct relay_gain *gain)
{
	r->last_word &= !r->stream;
	r->usage_alone = false;
	r->content_bytes += ev->content_bytes;
	r->content_events++;
	gain->events++;
	gain->bytes += ev->content_bytes;
	if (ev->sound_bytes || ev->pictures)
		learn_media(r, ev);
	if (!ev->reasoning_bytes)
		return;
	r->reasoning_bytes += ev->reasoning_bytes;
	r->reasoning_events += ev->reasoning_bytes == ev->content_bytes;
	if (r->room)
		doubt_room(r);
}

/* The next event tells anew of all that came. */
static void forget_content(struct relay *r)
{
	r->content_bytes = r->content_events = 0;
	r->reasoning_bytes = r->reasoning_events = 0;
	r->media_events = r->sounds = 0;
	r->sound_bytes = r->pictures = 0;
}

/* Whether the reported output is a count of what had come: not the token or few with which some providers begin, which those that translate
 * them may repeat with every item; nor, of several choices, what may be one's alone. */
static bool is_count(const struct relay *r, const struct relay_came *told)
{
	unsigned bytes = r->dec_opts.facts->copies > 1 ? 4 : TOKEN_BYTES_MAX;
	uint64_t least = MAX_OF(told->events, told->bytes / bytes);

	return told->is_told && told->events > 0 && !r->usage.undivided &&
	       usage_get(&r->usage, USAGE_OUTPUT) >= (int64_t)least;
}

/* Where it stands, before it is learned. */
static void learn_place(struct relay *r, const struct ir_event *ev)
{
	r->last_word = r->finish || ev->finish != IR_FIN_NONE || !r->stream;
	r->usage_alone = ev->kind == IR_USAGE || ev->of_none;
}

/* Notes what the event tells. */
static void learn(struct relay *r, const struct ir_event *ev, struct arena *a,
		  struct relay_gain *gain)
{
	if (ev->so_far)
		forget_content(r);
	if (ev->content_bytes > 0 || ev->commits)
		learn_content(r, ev, gain);
	if (ev->usage) {
		learn_place(r, ev);
		learn_usage(r, ev->usage, gain);
		r->counts_all = !r->stream || (r->finish && r->usage_alone) || is_count(r, &r->told);
		keep_raw(r, ev, a);
	} else if (ev->finish != IR_FIN_NONE) {
		r->last_word |= r->usage_alone;
		r->counts_all |= r->usage_alone;
	}
	if (ev->tier && ev->tier != r->usage.tier) {
		r->usage.tier = ev->tier;
		gain->usage = true;
	}
	if (ev->finish != IR_FIN_NONE) {
		r->finish = gain->finish = true;
		keep_finish(r, ev);
	}
	if (!r->upstream_id.n && (ev->kind == IR_START || ev->kind == IR_RAW) &&
	    text_is_word(ev->id, IR_ID_MAX))
		r->upstream_id = arena_dup(a, ev->id);
	if (r->finish && r->reported)
		r->settling = true;
}

/* The end is encoded only after the charge is made: its bytes must outlive the push. */
static void keep_end(struct relay *r, const struct ir_event *ev)
{
	bool inside = ev->usage_json.n && ev->usage_json.p >= ev->raw.p &&
		      ev->usage_json.p < ev->raw.p + ev->raw.n;
	size_t at = inside ? (size_t)(ev->usage_json.p - ev->raw.p) : ev->raw.n;
	enum errc e = buf_adds(&r->tail, ev->raw);

	if (!e && !inside)
		e = buf_adds(&r->tail, ev->usage_json);
	if (e) {
		fail_errc(r, e);
		return;
	}
	r->end = *ev;
	r->end.raw = slice_of(r->tail.p, ev->raw.n);
	r->end.usage_json = slice_of(r->tail.p ? r->tail.p + at : NULL, ev->usage_json.n);
	r->end.text = r->end.id = r->end.name = r->end.native = r->end.usage_raw = SLICE_NONE;
	r->end.fault = NULL;
	r->ended = true;
}

/* Tokens of the text behind it, of so many bytes each, if an event is no more. */
static int64_t text_behind(const struct relay *r, const struct relay_came *told, unsigned bytes)
{
	return (int64_t)MAX_OF(r->content_events - r->media_events - told->events,
			       (r->content_bytes - told->bytes) / bytes);
}

static int64_t reasoning_behind(const struct relay *r, const struct relay_came *told, unsigned bytes)
{
	return (int64_t)MAX_OF(r->reasoning_events - told->reasoning_events,
			       (r->reasoning_bytes - told->reasoning_bytes) / bytes);
}

static int64_t media_behind(const struct relay *r, const struct relay_came *told)
{
	return (int64_t)(MAX_OF(r->sounds - told->sounds,
				(r->sound_bytes - told->sound_bytes) / SOUND_BYTES_MAX) +
			 r->pictures - told->pictures);
}

int64_t relay_output(const struct relay *r)
{
	int64_t seen = (int64_t)MAX_OF(r->content_events - r->media_events,
				       r->content_bytes / TOKEN_BYTES) +
		       relay_sound(r) + relay_pictures(r);

	if (is_count(r, &r->told))
		return usage_output_total(&r->usage) + text_behind(r, &r->told, TOKEN_BYTES) +
		       media_behind(r, &r->told);
	return MAX_OF(seen, usage_output_total(&r->usage));
}

int64_t relay_sound(const struct relay *r)
{
	int64_t seen = (int64_t)MAX_OF(r->sounds, r->sound_bytes / SOUND_BYTES_MAX);

	return MAX_OF(seen, usage_get(&r->usage, USAGE_OUTPUT_AUDIO));
}

int64_t relay_seen_sound(const struct relay_came *came)
{
	return (int64_t)MAX_OF(came->sounds, came->sound_bytes / SOUND_BYTES);
}

int64_t relay_pictures(const struct relay *r)
{
	return MAX_OF((int64_t)r->pictures, usage_get(&r->usage, USAGE_OUTPUT_IMAGE));
}

static bool put_more(struct usage *u, enum usage_class c, int64_t n)
{
	if (n <= usage_get(u, c))
		return false;
	usage_set(u, c, n);
	return true;
}

struct relay_came relay_told(const struct relay *r)
{
	struct relay_came told = relay_is_reported(r) ? came(r) : r->told;

	if (!r->usage.undivided && usage_output_total(&r->usage) == 0)
		return (struct relay_came){0};
	if (r->usage.undivided) { /* by which it is divided */
		told.seen = relay_seen(r);
		told.events = r->content_events - r->media_events;
		told.bytes = r->content_bytes;
		told.reasoning_events = r->reasoning_events;
		told.reasoning_bytes = r->reasoning_bytes;
	}
	return told;
}

int64_t relay_unplaced(const struct relay_came *told, const struct usage *u)
{
	int64_t hidden = MAX_OF(usage_get(u, USAGE_REASONING) - told->reasoning, 0);

	if (!(told->pictures > 0 && !usage_has(u, USAGE_OUTPUT_IMAGE)) &&
	    !(told->sound_bytes > 0 && !usage_has(u, USAGE_OUTPUT_AUDIO)))
		return 0;
	return MAX_OF(usage_get(u, USAGE_OUTPUT) - told->seen - hidden, 0);
}

bool relay_media(const struct relay *r, struct usage *u)
{
	const struct relay_came told = relay_told(r), all = came(r);
	int64_t copies = MAX_OF(r->dec_opts.facts->copies, 1);
	int64_t pictures = (int64_t)(r->pictures - told.pictures), n;
	int64_t sound = told.is_told ? usage_get(u, USAGE_OUTPUT_AUDIO) : 0;
	int64_t shown = told.is_told ? usage_get(u, USAGE_OUTPUT_IMAGE) : 0;
	int64_t left = MAX_OF(r->output_asked - usage_get(u, USAGE_OUTPUT) - sound - shown, 0);
	bool more;

	n = MIN_OF(relay_seen_sound(&all) - relay_seen_sound(&told), left);
	n = MAX_OF((int64_t)(r->sounds - told.sounds), n);
	more = put_more(u, USAGE_OUTPUT_AUDIO, sound + n);
	if (pictures == 0)
		return more;
	left = MAX_OF(left - n, 0);
	n = MIN_OF(r->output_asked / copies * MIN_OF(pictures, copies), left);
	n = MIN_OF(n, r->picture_tokens * MIN_OF(pictures, USAGE_MAX / r->picture_tokens));
	return put_more(u, USAGE_OUTPUT_IMAGE, shown + MAX_OF(n, pictures)) || more;
}

/* As much as *u may have of text and reasoning: what was asked for, but that a provider is known to have minded no cap. */
static int64_t text_max(const struct relay *r, const struct usage *u)
{
	if (!r->usage_positive || r->stopped)
		return INT64_MAX;
	return MAX_OF(r->output_asked, relay_output(r)) - usage_get(u, USAGE_OUTPUT_AUDIO) -
	       usage_get(u, USAGE_OUTPUT_IMAGE);
}

bool relay_more(const struct relay *r, struct usage *u)
{
	const struct relay_came told = relay_told(r);
	int64_t output = relay_seen(r) + relay_unplaced(&told, u);
	int64_t reasoning = relay_seen_reasoning(r);
	bool more;

	if (is_count(r, &told)) {
		output = usage_get(u, USAGE_OUTPUT) + text_behind(r, &told, 4);
		if (usage_has(u, USAGE_REASONING))
			reasoning = usage_get(u, USAGE_REASONING) + reasoning_behind(r, &told, 4);
	} else if (told.is_told && told.events == 0) {
		output += usage_reasoning(u); /* hidden: none of it was seen */
	}
	more = put_more(u, USAGE_OUTPUT, MIN_OF(output, text_max(r, u)));
	more |= put_more(u, USAGE_REASONING, reasoning);
	return relay_media(r, u) || more;
}

int64_t relay_reasoning(const struct relay *r)
{
	int64_t seen = (int64_t)MAX_OF(r->reasoning_events, r->reasoning_bytes / TOKEN_BYTES);

	if (is_count(r, &r->told) && usage_has(&r->usage, USAGE_REASONING))
		return usage_reasoning(&r->usage) + reasoning_behind(r, &r->told, TOKEN_BYTES);
	return MAX_OF(seen, usage_reasoning(&r->usage));
}

/* Whether a piece of content went beyond what the hold covers: a provider that minds neither the cap nor the bound. */
static bool is_over(struct relay *r, const struct ir_event *ev)
{
	if (!ev->commits || ev->finish != IR_FIN_NONE || relay_output(r) <= r->output_max)
		return false;
	/* More than was asked for; what was held for the input may pay for it. */
	if (r->room && !r->asked)
		ask_room(r);
	return relay_output(r) > r->output_max;
}

static void stop(struct relay *r)
{
	r->stopped = r->ended = r->finish = r->settling = true;
	r->end = (struct ir_event){.kind = IR_END};
	keep_finish(r, &(struct ir_event){.finish = IR_FIN_LENGTH});
}

static void take(struct relay *r, const struct ir_event *ev, struct arena *a,
		 struct relay_gain *gain)
{
	size_t before = r->out.len;
	enum errc e;

	learn(r, ev, a, gain);
	if (ev->kind == IR_ERROR) {
		r->failed = true;
		r->fault = *ev->fault;
		r->verdict = *ev->verdict;
		return;
	}
	if (ev->kind == IR_END) {
		keep_end(r, ev);
		return;
	}
	e = r->front->enc_event(r->enc, ev, &r->out);
	if (e) {
		fail_errc(r, e);
		return;
	}
	if (!r->committed && r->out.len > before)
		r->frames++;
	r->committed = r->committed || ev->commits;
	if (is_over(r, ev))
		stop(r);
}

static void drain_events(struct relay *r, struct arena *a, struct relay_gain *gain)
{
	struct ir_event ev;
	int got = 0;

	while (!r->ended && !r->failed && (got = r->back->dec_next(r->dec, &ev)) > 0)
		take(r, &ev, a, gain);
	if (got < 0)
		fail_errc(r, (enum errc) - got);
}

void relay_push(struct relay *r, struct slice bytes, struct arena *a, struct relay_gain *gain)
{
	struct relay_gain none = {0};
	enum errc e;

	if (r->ended || r->failed)
		return;
	r->taken += bytes.n;
	e = r->back->dec_push(r->dec, bytes);
	if (e)
		fail_errc(r, e);
	else
		drain_events(r, a, gain ? gain : &none);
}

/* A whole answer that was kept goes out at once, about as long as it came. */
static enum errc make_room(struct relay *r)
{
	char *room;

	if (r->stream || r->taken > r->dec_opts.whole_bytes)
		return ERRC_OK;
	return buf_reserve(&r->out, r->taken + USAGE_EXTRA, &room);
}

void relay_finish(struct relay *r, struct arena *a, struct relay_gain *gain)
{
	struct relay_gain none = {0};
	enum errc e;

	if (r->ended || r->failed)
		return;
	e = r->back->dec_finish(r->dec);
	if (!e)
		e = make_room(r);
	if (e)
		fail_errc(r, e);
	else
		drain_events(r, a, gain ? gain : &none);
	if (!r->ended && !r->failed) {
		r->failed = true;
		r->verdict = (struct dialect_verdict){.breaks = true};
		fault_set(&r->fault, FAULT_UPSTREAM, "The provider's answer ended before its end.");
	}
}

bool relay_is_holding(const struct relay *r)
{
	return r->enc && !r->failed && r->front->enc_is_holding(r->enc);
}

void relay_flush(struct relay *r)
{
	enum errc e = r->front->enc_flush(r->enc, &r->out);

	if (e)
		fail_errc(r, e);
}

enum errc relay_seal(struct relay *r, const struct usage *charged)
{
	enum errc e = r->stopped ? r->front->enc_stop(r->enc, &r->out) : ERRC_OK;

	if (e)
		return e;
	r->end.usage = charged;
	return r->front->enc_event(r->enc, &r->end, &r->out);
}
