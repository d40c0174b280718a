#include "ptable_fields.h"

#include <stddef.h>

#define ROW(s, type, member, max)                                     \
	{                                                             \
		PTABLE_FIELDS_##type, offsetof(struct s, member), max \
	}

static const struct ptable_fields_row listener_rows[] = {
	ROW(settings_listener, STR, address, 0),         ROW(settings_listener, STR, host, 0),
	ROW(settings_listener, ENUM, port, 65535),       ROW(settings_listener, BOOL, tls, 0),
	ROW(settings_listener, STR, certificate, 0),     ROW(settings_listener, STR, key, 0),
	ROW(settings_listener, STR, certificate_pem, 0), ROW(settings_listener, STR, key_pem, 0),
};

static const struct ptable_fields_row provider_rows[] = {
	ROW(ptable_provider, U64, id, 0),
	ROW(ptable_provider, STR, name, 0),
	ROW(ptable_provider, ENUM, dialect, PTABLE_DIALECT_COUNT - 1),
	ROW(ptable_provider, ENUM, auth, PTABLE_AUTH_API_KEY),
	ROW(ptable_provider, BOOL, base.tls, 0),
	ROW(ptable_provider, BOOL, base.host_is_ipv6, 0),
	ROW(ptable_provider, U16, base.port, 0),
	ROW(ptable_provider, STR, base.host, 0),
	ROW(ptable_provider, STR, base.path, 0),
	ROW(ptable_provider, STR, base.query, 0),
	ROW(ptable_provider, BOOL, azure_deployments, 0),
	ROW(ptable_provider, BOOL, off, 0),
	ROW(ptable_provider, STR, anthropic_version, 0),
	ROW(ptable_provider, STR, ca_file, 0),
	ROW(ptable_provider, STR, ca_pem, 0),
	ROW(ptable_provider, BOOL, usage_option, 0),
	ROW(ptable_provider, BOOL, embeddings_base64, 0),
	ROW(ptable_provider, BOOL, reasoning_outside, 0),
	ROW(ptable_provider, I64, reasoning_beside, 0),
	ROW(ptable_provider, BOOL, forward_own_fields, 0),
	ROW(ptable_provider, STR, cap_field, 0),
	ROW(ptable_provider, I64, connect_ms, 0),
	ROW(ptable_provider, I64, tls_ms, 0),
	ROW(ptable_provider, I64, first_byte_stream_ms, 0),
	ROW(ptable_provider, I64, first_byte_whole_ms, 0),
	ROW(ptable_provider, I64, between_ms, 0),
	ROW(ptable_provider, I64, total_stream_ms, 0),
	ROW(ptable_provider, I64, total_whole_ms, 0),
	ROW(ptable_provider, I64, max_inflight, 0),
	ROW(ptable_provider, I64, max_connections, 0),
};

static const struct ptable_fields_row model_rows[] = {
	ROW(ptable_model, U64, id, 0),
	ROW(ptable_model, STR, name, 0),
	ROW(ptable_model, STR, display_name, 0),
	ROW(ptable_model, STR, owned_by, 0),
	ROW(ptable_model, I64, created_s, 0),
	ROW(ptable_model, I64, context, 0),
	ROW(ptable_model, I64, max_output, 0),
	ROW(ptable_model, I64, min_output, 0),
	ROW(ptable_model, I64, image_tokens, 0),
	ROW(ptable_model, I64, output_image_tokens, 0),
	ROW(ptable_model, I64, media_tokens_per_kib, 0),
	ROW(ptable_model, I64, input_overhead, 0),
	ROW(ptable_model, U32, can, 0),
};

static const struct ptable_fields_row offer_rows[] = {
	ROW(ptable_offer, U64, id, 0),        ROW(ptable_offer, STR, upstream, 0),
	ROW(ptable_offer, INT, weight, 0),    ROW(ptable_offer, INT, priority, 0),
	ROW(ptable_offer, STR, cap_field, 0),
};

const struct ptable_fields ptable_fields_listener = {listener_rows, ARRAY_LEN(listener_rows)};
const struct ptable_fields ptable_fields_provider = {provider_rows, ARRAY_LEN(provider_rows)};
const struct ptable_fields ptable_fields_model = {model_rows, ARRAY_LEN(model_rows)};
const struct ptable_fields ptable_fields_offer = {offer_rows, ARRAY_LEN(offer_rows)};

static void pack_row(struct mpack_out *o, const struct ptable_fields_row *row, const void *m)
{
	switch (row->type) {
	case PTABLE_FIELDS_STR:
		mpack_str(o, *(const struct slice *)m);
		break;
	case PTABLE_FIELDS_I64:
		mpack_i64(o, *(const int64_t *)m);
		break;
	case PTABLE_FIELDS_U64:
		mpack_u64(o, *(const uint64_t *)m);
		break;
	case PTABLE_FIELDS_U32:
		mpack_u64(o, *(const uint32_t *)m);
		break;
	case PTABLE_FIELDS_U16:
		mpack_u64(o, *(const uint16_t *)m);
		break;
	case PTABLE_FIELDS_INT:
	case PTABLE_FIELDS_ENUM:
		mpack_i64(o, *(const int *)m);
		break;
	case PTABLE_FIELDS_BOOL:
		mpack_bool(o, *(const bool *)m);
		break;
	}
}

void ptable_fields_pack(struct mpack_out *o, const struct ptable_fields *f, const void *base)
{
	for (size_t i = 0; i < f->n; i++)
		pack_row(o, &f->rows[i], (const char *)base + f->rows[i].offset);
}

static enum errc read_text(struct mpack_in *r, struct arena *a, struct slice *out)
{
	struct slice s;
	enum errc rc = mpack_read_str(r, &s);

	if (rc != ERRC_OK)
		return rc;
	*out = arena_dup(a, s);
	return out->p ? ERRC_OK : ERRC_NOMEM;
}

static enum errc read_number(struct mpack_in *r, int64_t min, int64_t max, int64_t *out)
{
	enum errc rc = mpack_read_i64(r, out);

	if (rc == ERRC_OK && (*out < min || *out > max))
		return ERRC_RANGE;
	return rc;
}

static enum errc unpack_row(struct mpack_in *r, struct arena *a,
			    const struct ptable_fields_row *row, void *m)
{
	int64_t v = 0;
	enum errc rc;

	switch (row->type) {
	case PTABLE_FIELDS_STR:
		return read_text(r, a, m);
	case PTABLE_FIELDS_I64:
		return mpack_read_i64(r, m);
	case PTABLE_FIELDS_U64:
		return mpack_read_u64(r, m);
	case PTABLE_FIELDS_BOOL:
		return mpack_read_bool(r, m);
	case PTABLE_FIELDS_U32:
		rc = read_number(r, 0, UINT32_MAX, &v);
		*(uint32_t *)m = (uint32_t)v;
		return rc;
	case PTABLE_FIELDS_U16:
		rc = read_number(r, 0, UINT16_MAX, &v);
		*(uint16_t *)m = (uint16_t)v;
		return rc;
	default:
		rc = read_number(r, 0, row->type == PTABLE_FIELDS_ENUM ? row->max : INT32_MAX, &v);
		*(int *)m = (int)v;
		return rc;
	}
}

enum errc ptable_fields_unpack(struct mpack_in *r, struct arena *a, const struct ptable_fields *f,
			       void *base)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; i < f->n && rc == ERRC_OK; i++)
		rc = unpack_row(r, a, &f->rows[i], (char *)base + f->rows[i].offset);
	return rc;
}

/* --------------------------------------------------------------- settings */

/* Words travel as words, so that both sides check them by the same row. */
static void pack_setting(struct mpack_out *o, const struct settings_row *row,
			 const struct settings *s)
{
	const void *m = (const char *)s + row->offset;
	struct buf word;

	switch (row->type) {
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		mpack_str(o, *(const struct slice *)m);
		break;
	case SETTINGS_LIST: {
		const struct settings_list *l = m;

		mpack_arr(o, (uint32_t)l->n);
		for (size_t i = 0; i < l->n; i++)
			mpack_str(o, l->v[i]);
		break;
	}
	case SETTINGS_BOOL:
	case SETTINGS_ENUM:
		buf_init(&word, 256);
		if (settings_print(row, s, &word) != ERRC_OK)
			o->err = ERRC_NOMEM;
		mpack_str(o, buf_slice(&word));
		buf_fini(&word);
		break;
	default:
		mpack_i64(o, *(const int64_t *)m);
	}
}

void ptable_fields_pack_settings(struct mpack_out *o, const struct settings *s)
{
	mpack_arr(o, (uint32_t)settings_rows_n);
	for (size_t i = 0; i < settings_rows_n; i++)
		pack_setting(o, &settings_rows[i], s);
}

static enum errc unpack_list(struct mpack_in *r, struct arena *a, struct settings_list *out)
{
	struct slice *v;
	uint32_t n;
	enum errc rc = mpack_read_arr(r, &n);

	if (rc != ERRC_OK)
		return rc;
	v = arena_zero(a, n ? n * sizeof(*v) : 1);
	if (!v)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < n && rc == ERRC_OK; i++)
		rc = read_text(r, a, &v[i]);
	*out = (struct settings_list){v, n};
	return rc;
}

static enum errc unpack_setting(struct mpack_in *r, struct arena *a, const struct settings_row *row,
				struct settings *s)
{
	void *m = (char *)s + row->offset;
	struct slice text;
	enum errc rc;

	switch (row->type) {
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		return read_text(r, a, m);
	case SETTINGS_LIST:
		return unpack_list(r, a, m);
	case SETTINGS_BOOL:
	case SETTINGS_ENUM:
		rc = mpack_read_str(r, &text);
		return rc == ERRC_OK ? settings_parse(row, text, s) : rc;
	default:
		return read_number(r, row->min, row->max, m);
	}
}

enum errc ptable_fields_unpack_settings(struct mpack_in *r, struct arena *a, struct settings *s)
{
	uint32_t n;
	enum errc rc = mpack_read_arr(r, &n);

	if (rc == ERRC_OK && n != settings_rows_n)
		rc = ERRC_VERSION;
	for (size_t i = 0; i < settings_rows_n && rc == ERRC_OK; i++)
		rc = unpack_setting(r, a, &settings_rows[i], s);
	return rc;
}
