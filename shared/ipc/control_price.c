#include "control_price.h"

#include <stdio.h>

#include "text.h"

#define PPM_PLACES 6

_Static_assert(PRICE_WHEN_TEXT_MAX >= BILL_TEXT_MAX && PRICE_WHEN_TEXT_MAX >= TEXT_DECIMAL_MAX &&
		       PRICE_WHEN_TEXT_MAX > 2 * DIGEST_SHA256,
	       "any of the texts fits");

static struct slice exact(char *text, money_wide v, unsigned scale)
{
	return slice_of(text, bill_print(v, scale, text));
}

static bool is_piece(enum usage_class c)
{
	return usage_side_of(c) == USAGE_SIDE_EACH;
}

void control_price_line(struct control_price *r, const struct bill_line *l)
{
	enum usage_class c = usage_class_of(slice_str(l->unit));
	bool is_token = c < USAGE_COUNT && !is_piece(c);

	r->n = 0;
	r->f[r->n++] = CONTROL_S("class", slice_str(l->unit));
	r->f[r->n++] = CONTROL_I("tokens", l->n);
	r->f[r->n++] = is_token ? CONTROL_I("price_pusd", l->price_pusd) : CONTROL_N("price_pusd");
	r->f[r->n++] = CONTROL_S("each", exact(r->text[0], l->price_pusd, BILL_PUSD));
	r->f[r->n++] = CONTROL_S("amount", exact(r->text[1], l->amount_pusd, BILL_PUSD));
}

void control_price_sum(struct control_price *r, const struct price *p, const struct bill *b)
{
	char *multiplier = r->text[1];

	r->n = 0;
	r->f[r->n++] = CONTROL_S("sum", exact(r->text[0], b->sum_pusd, BILL_PUSD));
	r->f[r->n++] = CONTROL_S(
		"multiplier",
		slice_of(multiplier, text_decimal_print(p->mult_ppm, PPM_PLACES, 1, multiplier)));
	r->f[r->n++] = CONTROL_S("exact", exact(r->text[2], b->scaled_ausd, BILL_AUSD));
	r->f[r->n++] = CONTROL_I("rounded_nusd", b->total_nusd);
}

void control_price_row(struct control_price *r, const struct price *p)
{
	uint8_t hash[DIGEST_SHA256];

	r->n = 0;
	price_hash(p, hash);
	text_hex(hash, sizeof(hash), r->text[0]);
	r->f[r->n++] = CONTROL_S("price", slice_str(r->text[0]));
	r->f[r->n++] = CONTROL_S("when", slice_of(r->text[1], price_when_print(p, r->text[1])));
	r->f[r->n++] = CONTROL_B("free", p->free);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		/* Those of pieces are written in nano-dollars. */
		int64_t per = is_piece(c) ? MONEY_PUSD_NUSD : 1;

		snprintf(r->names[c], sizeof(r->names[c]), "%s_%s", usage_name(c),
			 is_piece(c) ? "nusd" : "pusd");
		r->f[r->n++] = (struct control_field){.name = slice_str(r->names[c]),
						      .type = CONTROL_T_I64,
						      .i = p->pusd[c] / per};
	}
	r->f[r->n++] = CONTROL_I("request_nusd", p->request_nusd);
	r->f[r->n++] = CONTROL_I("mult_ppm", p->mult_ppm);
}
