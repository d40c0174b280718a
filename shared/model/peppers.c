#include "peppers.h"

#include "secret.h"

#define MAGIC "aigwpep1"

/* The file: the magic, the peppers, newest first, and the hash of all that. */
struct stored {
	uint16_t id;
	uint8_t reserved[6];
	int64_t made_s;
	uint8_t secret[PEPPERS_SECRET];
};
_Static_assert(sizeof(struct stored) == 48, "layout of a stored file");
_Static_assert(sizeof MAGIC - 1 + PEPPERS_MAX * sizeof(struct stored) + DIGEST_SHA256 <=
		       PEPPERS_BYTES_MAX,
	       "the largest set fits");

static void take(struct peppers_one *to, struct slice at)
{
	struct stored s;

	memcpy(&s, at.p, sizeof s);
	to->id = s.id;
	to->made_s = s.made_s;
	memcpy(to->secret, s.secret, sizeof to->secret);
	digest_key_init(&to->key, slice_of(s.secret, sizeof s.secret));
	secret_wipe(&s, sizeof s);
}

enum errc peppers_decode(struct slice bytes, struct peppers *out)
{
	const size_t head = sizeof MAGIC - 1, least = head + sizeof(struct stored) + DIGEST_SHA256;
	uint8_t hash[DIGEST_SHA256];
	struct slice body;

	*out = (struct peppers){.n = 0};
	if (bytes.n < least || (bytes.n - least) % sizeof(struct stored) != 0 ||
	    (bytes.n - least) / sizeof(struct stored) >= PEPPERS_MAX ||
	    memcmp(bytes.p, MAGIC, head) != 0)
		return ERRC_CORRUPT;
	body = slice_sub(bytes, 0, bytes.n - DIGEST_SHA256);
	digest_sha256(body, hash);
	if (memcmp(hash, bytes.p + body.n, sizeof hash) != 0)
		return ERRC_CORRUPT;
	for (size_t at = head; at < body.n; at += sizeof(struct stored))
		take(&out->v[out->n++], slice_sub(body, at, sizeof(struct stored)));
	for (size_t i = 0; i < out->n; i++) {
		if (out->v[i].id == 0 || (i > 0 && out->v[i].id >= out->v[i - 1].id)) {
			peppers_fini(out);
			return ERRC_CORRUPT;
		}
	}
	return ERRC_OK;
}

enum errc peppers_encode(const struct peppers *p, struct buf *out)
{
	size_t from = out->len;
	uint8_t hash[DIGEST_SHA256];
	enum errc rc = buf_addz(out, MAGIC);

	for (size_t i = 0; !rc && i < p->n; i++) {
		struct stored s = {.id = p->v[i].id, .made_s = p->v[i].made_s};

		memcpy(s.secret, p->v[i].secret, sizeof s.secret);
		rc = buf_add(out, &s, sizeof s);
		secret_wipe(&s, sizeof s);
	}
	if (rc)
		return rc;
	digest_sha256(slice_sub(buf_slice(out), from, out->len - from), hash);
	return buf_add(out, hash, sizeof hash);
}

enum errc peppers_add(struct peppers *p, int64_t now_s)
{
	uint16_t last = p->n ? p->v[0].id : 0;

	if (p->n == PEPPERS_MAX || last == UINT16_MAX)
		return ERRC_LIMIT;
	memmove(&p->v[1], &p->v[0], p->n * sizeof p->v[0]);
	p->n++;
	p->v[0].id = (uint16_t)(last + 1);
	p->v[0].made_s = now_s;
	secret_random(p->v[0].secret, sizeof p->v[0].secret);
	digest_key_init(&p->v[0].key, slice_of(p->v[0].secret, sizeof p->v[0].secret));
	return ERRC_OK;
}

void peppers_remove(struct peppers *p, uint16_t id)
{
	for (size_t i = 1; i < p->n; i++) {
		if (p->v[i].id != id)
			continue;
		p->n--;
		memmove(&p->v[i], &p->v[i + 1], (p->n - i) * sizeof p->v[0]);
		secret_wipe(&p->v[p->n], sizeof p->v[0]);
		return;
	}
}

const struct peppers_one *peppers_find(const struct peppers *p, uint16_t id)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].id == id)
			return &p->v[i];
	}
	return NULL;
}

void peppers_fini(struct peppers *p)
{
	secret_wipe(p, sizeof *p);
}
