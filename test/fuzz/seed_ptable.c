/* Writes seeds of the entry `ptable` into a folder: provider tables as the configuration makes them now. To be run after the layout of the
 * blob has changed (`ninja fuzz-seeds`); seeds of layouts before stay, as what must be refused. */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "digest.h"
#include "ptable.h"
#include "secret.h"
#include "text.h"

#define BLOB_MAX ((size_t)1 << 20)

static const char *const env[] = {"KEY=k", "OTHER=l", NULL};

/* What otherwise depends on the machine and the user. */
#define FIXED "state: /state\nworkers: 2\nadmin: {socket: /control.sock}\n"

static const char *const texts[] = {
	/* The least. */
	FIXED "providers: {p: {base_url: \"http://h/v1\", keys: \"env:KEY\"}}\n"
	      "models: {m: {price: {input: 1, output: 2}, offers: {p/m: {}}}}\n",
	/* Every kind of part. */
	FIXED
	"region: here\n"
	"groups: {friends: 0.9, staff: 1.5}\n"
	"cors: {origins: [\"https://a.example\", \"http://b\"]}\n"
	"listen: [{address: \"127.0.0.1:8080\", trusted_proxies: [10.0.0.0/8, \"::1\"]}, "
	"\"127.0.0.1:8081\"]\n"
	"providers:\n"
	"  p: {dialect: openai, base_url: \"https://h.example:8443/v1\", keys: [\"env:KEY\", "
	"\"env:OTHER\"], headers: {x-a: b}}\n"
	"  q: {dialect: anthropic, base_url: \"http://127.0.0.1/v1\", keys: \"env:KEY\"}\n"
	"models:\n"
	"  m:\n"
	"    context: 1000\n"
	"    max_output: 100\n"
	"    price:\n"
	"      - {when: {min_prompt_tokens: 500, hours: \"22:00-06:00\"}, input: 3, output: 4}\n"
	"      - {when: {service_tier: flex, from: 2026-01-01}, input: 1, output: 2, image: 0.01}\n"
	"      - {input: 1, cache_read: 0.1, output: 2, reasoning: 3}\n"
	"    offers: {p/m: {weight: 8}, q/n: {priority: 2, cost: {input: 1, output: 1}}}\n"
	"    fallbacks: [other]\n"
	"  other: {price: {request: 0.01, web_search: 0.005}, offers: {q/o: {}}}\n"
	"  gratis: {price: free, offers: {p/g: {}}}\n"};

static void put(const char *folder, struct slice blob)
{
	uint8_t hash[DIGEST_SHA256];
	char name[2 * DIGEST_SHA256 + 1], path[4096];
	FILE *f;

	digest_sha256(blob, hash);
	text_hex(hash, 20, name);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "wb");
	require(f && fwrite(blob.p, 1, blob.n, f) == blob.n && fclose(f) == 0);
}

static bool make(const char *folder, const char *text)
{
	const struct config_opts o = {.path = "aigw.yaml",
				      .text = slice_str(text),
				      .env = (char *const *)env,
				      .hostname = "node"};
	struct config *c = NULL;
	struct ptable *t = NULL;
	struct buf messages, blob;
	bool good;

	buf_init(&messages, CONFIG_MESSAGES_MAX);
	buf_init(&blob, BLOB_MAX);
	good = config_load(&o, &messages, &c) == ERRC_OK && config_blob(c, 7, &blob) == ERRC_OK;
	if (!good)
		fprintf(stderr, "%s", buf_cstr(&messages));
	/* What is no longer read as it is written would be no seed. */
	require(!good || ptable_decode(buf_slice(&blob), &t) == ERRC_OK);
	if (good)
		put(folder, buf_slice(&blob));
	ptable_drop(&t);
	config_free(&c);
	buf_fini(&blob);
	buf_fini(&messages);
	return good;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!make(argv[1], texts[i]))
			return 1;
	return 0;
}
