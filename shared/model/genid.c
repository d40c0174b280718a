#include "genid.h"

#include <pthread.h>
#include <stdatomic.h>

#include "secret.h"

#define RANDOM_BYTES 10
#define PREFIX       "gen_"
#define DIGITS       26

/* Crockford's alphabet: in the order of the bytes, without i, l, o, u. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static atomic_uint forks; /* that this process descends from, since the first source */

static void in_child(void)
{
	atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
	require(pthread_atfork(NULL, NULL, in_child) == 0);
}

void genid_source_init(struct genid_source *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch_forks);
	s->forks = 0;
	s->used = sizeof s->pool;
}

struct genid genid_next(struct genid_source *s, int64_t wall_ms)
{
	unsigned now = atomic_load_explicit(&forks, memory_order_relaxed);
	struct genid id;

	if (s->used + RANDOM_BYTES > sizeof s->pool || s->forks != now) {
		secret_random(s->pool, sizeof s->pool);
		s->used = 0;
		s->forks = now;
	}
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)((uint64_t)wall_ms >> (40 - 8 * i));
	memcpy(id.b + 6, s->pool + s->used, RANDOM_BYTES);
	s->used += RANDOM_BYTES;
	return id;
}

int64_t genid_ms(const struct genid *id)
{
	int64_t ms = 0;

	for (size_t i = 0; i < 6; i++)
		ms = ms << 8 | id->b[i];
	return ms;
}

/* 26 digits of 5 bits hold 130: the first one begins with two bits that are always 0. */
void genid_print(const struct genid *id, char out[GENID_TEXT + 1])
{
	memcpy(out, PREFIX, 4);
	for (int i = 0; i < DIGITS; i++) {
		int bit = 5 * i - 2, at = bit < 0 ? 0 : bit / 8;
		unsigned two = (unsigned)id->b[at] << 8 |
			       (at + 1 < GENID_BYTES ? id->b[at + 1] : 0u);

		out[4 + i] = bit < 0 ? digits[id->b[0] >> 5] : digits[two >> (11 - bit % 8) & 31];
	}
	out[GENID_TEXT] = '\0';
}

bool genid_parse(struct slice text, struct genid *out)
{
	struct genid id = {{0}};

	if (text.n != GENID_TEXT || memcmp(text.p, PREFIX, 4) != 0)
		return false;
	for (int i = 0; i < DIGITS; i++) {
		char c = text.p[4 + i];
		const char *d =
			memchr(digits, c >= 'A' && c <= 'Z' ? c | 0x20 : c, sizeof digits - 1);
		unsigned v = d ? (unsigned)(d - digits) : 0;
		int bit = 5 * i - 2;

		if (!d || (i == 0 && v > 7))
			return false;
		for (int k = 0; k < 5; k++)
			if (bit + k >= 0 && (v >> (4 - k) & 1))
				id.b[(bit + k) / 8] |= (uint8_t)(0x80 >> (bit + k) % 8);
	}
	*out = id;
	return true;
}
