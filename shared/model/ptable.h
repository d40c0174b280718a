/* The provider table: everything of the configuration that serving a request needs, immutable and reference counted. The
 * master builds a blob from the checked configuration, keeper and workers decode it; a call holds the table it started
 * with, so a reload never changes a running request. Health, pools and counters are not in it: they are keyed by
 * endpoint and offer ids (stable hashes of names) and survive a swap. All pointers inside are valid while the table is held. */
#ifndef AIGW_PTABLE_H
#define AIGW_PTABLE_H

#include "buf.h"
#include "secret.h"
#include "settings.h"
#include "tariff.h"
#include "uri.h"

enum ptable_dialect { PTABLE_OPENAI, PTABLE_ANTHROPIC, PTABLE_DIALECT_COUNT };
/* How the key is sent. */
enum ptable_auth { PTABLE_AUTH_BEARER, PTABLE_AUTH_X_API_KEY, PTABLE_AUTH_API_KEY };

/* Modalities and abilities of a model, and what its price has; a request that needs a bit the model lacks skips its offers. */
enum {
	PTABLE_CAN_IMAGE_IN = 1 << 0,
	PTABLE_CAN_AUDIO_IN = 1 << 1,
	PTABLE_CAN_DOCUMENT_IN = 1 << 2,
	PTABLE_CAN_TOOLS = 1 << 3,
	PTABLE_CAN_REASONING = 1 << 4,
	PTABLE_CAN_JSON_SCHEMA = 1 << 5,
	PTABLE_IS_CHAT = 1 << 6,
	PTABLE_IS_EMBEDDING = 1 << 7,
	PTABLE_CAN_AUDIO_OUT = 1 << 8,
	PTABLE_CAN_IMAGE_OUT = 1 << 9,
	PTABLE_SELLS_SEARCH = 1 << 10, /* its price has searches of the web, rows for the tier */
	PTABLE_SELLS_FLEX = 1 << 11,
	PTABLE_SELLS_PRIORITY = 1 << 12,
};

struct ptable_header {
	struct slice name, value; /* checked: no CR, LF, NUL */
};
struct ptable_key {
	uint64_t id; /* stable hash of the provider's name and the secret's digest; names the key in shared state */
	struct secret secret;
	struct slice label; /* "env:OPENAI_API_KEY" or "file:/etc/…": where it came from, for operators */
};

struct ptable_provider {
	uint64_t id; /* stable hash of the name */
	struct slice name;
	enum ptable_dialect dialect;
	enum ptable_auth auth;
	struct uri base; /* scheme, host, port, path prefix without a trailing slash, query ("api-version=…") */
	bool azure_deployments; /* path /openai/deployments/{model}/… below base */
	struct ptable_key *keys;
	size_t keys_n; /* 0: no credential is sent, unless `off` */
	bool off; /* keys are configured but none is usable: no offer of it stands in the table */
	const struct ptable_header *headers;
	size_t headers_n;
	struct slice anthropic_version; /* "2023-06-01" */
	struct slice ca_file;           /* empty: upstream.ca_file, and without that the system's */
	struct slice ca_pem;            /* what it held when the configuration was read */
	bool usage_option;              /* send stream_options.include_usage (default on) */
	bool embeddings_base64;         /* understands encoding_format base64 (default on) */
	bool reasoning_outside;         /* xAI chat: completion_tokens leaves reasoning out */
	int64_t reasoning_beside; /* tokens of it, at most, that the cap does not bound (DashScope); 0: it does */
	bool forward_own_fields; /* provider, models, route, transforms, usage, session_id are understood there (OpenRouter) */
	struct slice cap_field; /* "max_tokens", "max_completion_tokens" or empty: as the client sent, else max_tokens */
	int64_t connect_ms, tls_ms, first_byte_stream_ms, first_byte_whole_ms, between_ms,
		total_stream_ms, total_whole_ms;
	int64_t max_inflight, max_connections; /* 0: no limit; of a worker, 0: the default */
};

struct ptable_offer {
	uint64_t id; /* stable hash of "model|provider/upstream" */
	const struct ptable_provider *provider;
	struct slice upstream;      /* the model's name there */
	int weight, priority;       /* lower priority number first; weights within one */
	const struct tariff *price; /* what the client pays here: the offer's, else the model's */
	const struct tariff *cost; /* what we pay; for margin only; never NULL (= price when not given) */
	struct slice cap_field; /* overrides the provider's; empty: provider's */
	uint32_t index;         /* position in ptable.offers */
};

struct ptable_model {
	uint64_t id; /* stable hash of the name */
	struct slice name;
	struct slice display_name, owned_by;
	int64_t created_s;
	int64_t context, max_output; /* tokens */
	int64_t min_output;          /* 0: the default (1,024; reasoning 4,096) */
	int64_t image_tokens, output_image_tokens, media_tokens_per_kib, input_overhead;
	uint32_t can; /* PTABLE_CAN_… */
	const struct tariff *price;
	const struct ptable_offer *offers; /* sorted by priority, then weight descending, then name */
	size_t offers_n;                   /* 0 when all of its providers are off */
	const struct ptable_model *const
		*fallbacks; /* in the given order, resolved; no cycles are followed */
	size_t fallbacks_n;
	uint32_t index; /* position in ptable.models, which is sorted by name */
};

/* What accounts of a group pay: the price times this. */
struct ptable_group {
	struct slice name;
	int64_t mult_ppm;
};

struct ptable {
	unsigned magic;
	unsigned refs;
	uint64_t generation; /* counts up with each committed change, from 1 */
	struct settings set; /* see settings.h: every global setting, typed */
	const struct ptable_provider *providers;
	size_t providers_n;
	const struct ptable_model *models; /* sorted by name, byte order */
	size_t models_n;
	const struct ptable_offer *offers; /* all, grouped by model */
	size_t offers_n;
	const struct price **prices; /* every distinct price row in use, as listed, sorted by hash */
	size_t prices_n;
	const struct tariff **tariffs; /* every distinct one in use; equal ones are one */
	size_t tariffs_n;
	const struct ptable_group *groups; /* sorted by name */
	size_t groups_n;
	void *memory; /* private */
};

/* Appends the blob of a table (its generation, refs and memory are not read). It holds the secrets: wipe it after use. Every
 * fallback and offer's provider must be one of the table's own. */
MUSTCHECK enum errc ptable_encode(const struct ptable *t, uint64_t generation, struct buf *out);
/* Decodes a blob made by config_blob(). The table is new, with one reference. The blob may be wiped afterwards. */
MUSTCHECK enum errc ptable_decode(struct slice blob, struct ptable **out);
struct ptable *ptable_hold(struct ptable *t);
/* Drops the reference and sets *t to NULL; the last one wipes the secrets and frees. */
void ptable_drop(struct ptable **t);

/* By exact name, binary search; NULL when there is none. */
const struct ptable_model *ptable_model(const struct ptable *t, struct slice name);
const struct ptable_provider *ptable_provider(const struct ptable *t, struct slice name);
const struct ptable_group *ptable_group(const struct ptable *t, struct slice name);
/* What a group makes of prices; PRICE_PPM when there is no such group: then the price is as listed. */
int64_t ptable_group_ppm(const struct ptable *t, struct slice name);

struct ptable_named { /* an offer and the model whose it is */
	const struct ptable_offer *offer;
	const struct ptable_model *model;
};
/* "provider/upstream-model" as a client may ask for it (contract A8): how many offers the name means, one for each model that
 * has it, in the order of the models' names; 0: none. `*at` is the first of them, valid while the table is held. */
size_t ptable_offers_named(const struct ptable *t, struct slice name,
			   const struct ptable_named **at);

#endif
