#include "dialect.h"

#include "anthropic_dec.h"
#include "anthropic_write.h"
#include "chat_enc.h"
#include "chat_read.h"
#include "chat_scan.h"
#include "fault_write.h"
#include "openai_back.h"
#include "openai_dec.h"
#include "provider_error.h"

static const struct dialect_front dialect_fronts[DIALECT_FRONT_COUNT] = {
	[DIALECT_FRONT_OPENAI] =
		{
			.name = "openai",
			.id = DIALECT_FRONT_OPENAI,
			.scan_size = sizeof(struct chat_scan),
			.enc_size = sizeof(struct chat_enc),
			.scan_init = chat_scan_init,
			.scan_push = chat_scan_push,
			.scan_end = chat_scan_end,
			.scan_fini = chat_scan_fini,
			.read_request = chat_read_request,
			.enc_init = chat_enc_init,
			.enc_event = chat_enc_event,
			.enc_is_holding = chat_enc_is_holding,
			.enc_flush = chat_enc_flush,
			.enc_stop = chat_enc_stop,
			.enc_fini = chat_enc_fini,
			.write_fault = fault_write_openai,
			.write_fault_event = fault_write_openai_event,
			.keepalive = {": aigw\n\n", 8},
		},
};

static const struct dialect_back dialect_backs[PTABLE_DIALECT_COUNT] = {
	[PTABLE_OPENAI] =
		{
			.name = "openai",
			.id = PTABLE_OPENAI,
			.dec_size = sizeof(struct openai_dec),
			.write_request = openai_back_write,
			.dec_init = openai_dec_init,
			.dec_push = openai_dec_push,
			.dec_next = openai_dec_next,
			.dec_finish = openai_dec_finish,
			.dec_fini = openai_dec_fini,
			.dec_bad_count = openai_dec_bad_count,
			.classify = provider_error_classify,
		},
	[PTABLE_ANTHROPIC] =
		{
			.name = "anthropic",
			.id = PTABLE_ANTHROPIC,
			.dec_size = sizeof(struct anthropic_dec),
			.write_request = anthropic_write_request,
			.dec_init = anthropic_dec_init,
			.dec_push = anthropic_dec_push,
			.dec_next = anthropic_dec_next,
			.dec_finish = anthropic_dec_finish,
			.dec_fini = anthropic_dec_fini,
			.dec_bad_count = anthropic_dec_bad_count,
			.classify = provider_error_classify,
		},
};

const struct dialect_front *dialect_front(enum dialect_front_id id)
{
	const struct dialect_front *f = (unsigned)id < DIALECT_FRONT_COUNT ? &dialect_fronts[id]
									   : NULL;

	return f && f->name ? f : NULL;
}

const struct dialect_back *dialect_back(enum ptable_dialect id)
{
	const struct dialect_back *b = (unsigned)id < PTABLE_DIALECT_COUNT ? &dialect_backs[id]
									   : NULL;

	return b && b->name ? b : NULL;
}

bool dialect_is_same(const struct dialect_front *f, const struct dialect_back *b)
{
	return f->id == DIALECT_FRONT_OPENAI && b->id == PTABLE_OPENAI;
}
