#include "apikey.h"

#include "secret.h"
#include "text.h"

#define PREFIX       "sk-aigw-"
#define PREFIX_BYTES (sizeof PREFIX - 1)

static void print_id(const uint8_t random[APIKEY_ID], char id[APIKEY_ID])
{
	/* 32 symbols, none of which is easily taken for another. */
	static const char symbols[] = "abcdefghijkmnpqrstuvwxyz23456789";

	for (unsigned i = 0; i < APIKEY_ID; i++)
		id[i] = symbols[random[i] & 31];
}

void apikey_make_id(char id[APIKEY_ID])
{
	uint8_t random[APIKEY_ID];

	secret_random(random, sizeof random);
	print_id(random, id);
}

void apikey_make(struct apikey *k)
{
	char id[APIKEY_ID];

	apikey_make_id(id);
	apikey_make_for(k, id);
}

void apikey_make_for(struct apikey *k, const char id[APIKEY_ID])
{
	struct buf b = {.p = k->text, .cap = APIKEY_TEXT, .max = APIKEY_TEXT};
	uint8_t random[32];

	secret_random(random, sizeof random);
	memcpy(k->id, id, APIKEY_ID);
	k->id[APIKEY_ID] = '\0';
	require(buf_addz(&b, PREFIX) == ERRC_OK);
	require(buf_add(&b, k->id, APIKEY_ID) == ERRC_OK);
	require(buf_addc(&b, '-') == ERRC_OK);
	require(text_base64url(&b, random, sizeof random) == ERRC_OK);
	require(b.len == APIKEY_TEXT);
	k->text[APIKEY_TEXT] = '\0';
	secret_wipe(random, sizeof random);
}

void apikey_fini(struct apikey *k)
{
	secret_wipe(k, sizeof *k);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct slice trim_space(struct slice s)
{
	while (s.n && is_space(s.p[0]))
		s = slice_of(s.p + 1, s.n - 1);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct slice apikey_trim(struct slice s)
{
	s = trim_space(s);
	if (s.n >= 2 && s.p[0] == s.p[s.n - 1] && (s.p[0] == '"' || s.p[0] == '\''))
		s = trim_space(slice_of(s.p + 1, s.n - 2));
	return s;
}

#define BIT(c)            (UINT64_C(1) << ((c)&63))
#define BITS(first, last) (2 * BIT(last) - BIT(first))

/* By tables, for each key has other characters, and no processor foresees a branch on them. A bit for each of 256 characters. */
static const uint64_t id_chars[4] = {BITS('0', '9'), BITS('a', 'z')};
static const uint64_t secret_chars[4] = {BITS('0', '9') | BIT('-'),
					 BITS('a', 'z') | BITS('A', 'Z') | BIT('_')};

static uint64_t is_in(const uint64_t set[4], char c)
{
	return set[(unsigned char)c >> 6] >> (c & 63) & 1;
}

bool apikey_parse(struct slice text, struct slice *id)
{
	const char *at = text.p + PREFIX_BYTES;
	uint64_t good = 1;

	if (text.n != APIKEY_TEXT || memcmp(text.p, PREFIX, PREFIX_BYTES) != 0 ||
	    at[APIKEY_ID] != '-')
		return false;
	for (unsigned i = 0; i < APIKEY_ID; i++)
		good &= is_in(id_chars, at[i]);
	for (unsigned i = 0; i < APIKEY_SECRET; i++)
		good &= is_in(secret_chars, at[APIKEY_ID + 1 + i]);
	*id = slice_of(at, APIKEY_ID);
	return good != 0;
}

void apikey_hide(char *text, size_t n)
{
	size_t at = 0, secret, end;
	ptrdiff_t key;

	while ((key = slice_find(slice_of(text + at, n - at), SLICE_LIT(PREFIX))) >= 0) {
		at += (size_t)key + PREFIX_BYTES;
		secret = at + APIKEY_ID + 1;
		end = MIN_OF(secret + APIKEY_SECRET, n);
		if (secret < end && text[secret - 1] == '-')
			memset(text + secret, '*', end - secret);
	}
}

/* Id and secret without what is the same in every key: 55 bytes, the most that one block of SHA-256 takes. */
void apikey_hash(const struct digest_key *pepper, struct slice text, uint8_t out[DIGEST_SHA256])
{
	char message[APIKEY_ID + APIKEY_SECRET];

	require(text.n == APIKEY_TEXT);
	memcpy(message, text.p + PREFIX_BYTES, APIKEY_ID);
	memcpy(message + APIKEY_ID, text.p + PREFIX_BYTES + APIKEY_ID + 1, APIKEY_SECRET);
	digest_hmac(pepper, slice_of(message, sizeof message), out);
	secret_wipe(message, sizeof message);
}
