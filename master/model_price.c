#include "model_price.h"

#include <stdio.h>

#include "clock.h"
#include "control_price.h"
#include "text.h"

#define PPM_PLACES 6
#define WHY_MAX    512

struct model_price {
	struct chan *chan;
	struct slice model, group;
	const struct ptable_offer *offer; /* NULL: the model's own price */
	const struct tariff *tariff;
	bool has_usage;
	struct usage usage;
	int64_t at_s, mult_ppm;
	struct price row; /* that counts, multiplied */
	char multiplier[TEXT_DECIMAL_MAX];
};

static enum errc not_found(const struct model_price *x, const char *what, struct slice name)
{
	return control_end(x->chan, CONTROL_NOT_FOUND, "not_found", "there is no %s '" SLICE_FMT "'",
			   what, SLICE_ARG(slice_sub(name, 0, 200)));
}

/* "input=1000,cache_read=200,tier=flex": each class once. */
static bool read_usage(struct slice text, struct usage *u)
{
	struct slice one, name;

	usage_init(u);
	while (text.n) {
		enum usage_class class;
		uint64_t v;

		(void)slice_cut(&text, ',', &one);
		if (!slice_cut(&one, '=', &name))
			return false;
		name = slice_trim(name);
		if (slice_is(name, "tier") && !u->tier) {
			u->tier = usage_tier_of(slice_trim(one));
			if (!u->tier)
				return false;
			continue;
		}
		class = slice_is(name, "cache_write") ? USAGE_CACHE_WRITE_5M : usage_class_of(name);
		if (class == USAGE_COUNT || usage_has(u, class) || !text_u64(slice_trim(one), &v) ||
		    v > USAGE_MAX)
			return false;
		usage_set(u, class, (int64_t)v);
	}
	return !usage_is_empty(u);
}

static size_t usage_names(char *out, size_t max)
{
	size_t at = 0;

	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		at += (size_t)snprintf(out + at, max - at, "%s, ", usage_name(c));
	return at + (size_t)snprintf(out + at, max - at, "tier");
}

/* A model, or an offer by its name where that has one price. */
static bool find(struct model_price *x, const struct ptable *t)
{
	const struct ptable_model *m = ptable_model(t, x->model);
	const struct ptable_named *named;
	size_t n;

	x->tariff = m ? m->price : NULL;
	if (m)
		return true;
	n = ptable_offers_named(t, x->model, &named);
	for (size_t i = 1; i < n; i++)
		if (named[i].offer->price != named[0].offer->price)
			return false;
	if (n == 0)
		return false;
	x->offer = named->offer;
	x->tariff = named->offer->price;
	return true;
}

static struct control_field text_or_none(const char *name, struct slice text)
{
	return (struct control_field){.name = slice_str(name),
				      .type = text.n ? CONTROL_T_STR : CONTROL_T_NONE,
				      .s = text};
}

static void say_why(const struct model_price *x, char *out)
{
	char when[PRICE_WHEN_TEXT_MAX], at[CLOCK_TEXT_MAX];

	price_when_print(&x->row, when);
	clock_format_s(x->at_s, at);
	if (x->tariff->n == 1)
		snprintf(out, WHY_MAX, "the price has one row");
	else
		snprintf(out, WHY_MAX, "of %zu rows the one for %s: %lld tokens of input at %s",
			 x->tariff->n, when, (long long)usage_input_total(&x->usage), at);
}

static enum errc send_choice(const struct model_price *x)
{
	char why[WHY_MAX] = "";
	struct control_field f[] = {
		CONTROL_S("model", x->model),
		x->offer ? CONTROL_S("offer", x->offer->upstream) : CONTROL_N("offer"),
		CONTROL_I("at_s", x->at_s),
		text_or_none("group", x->group),
		CONTROL_S("multiplier", slice_str(x->multiplier)),
		CONTROL_I("rows", x->tariff->n),
		CONTROL_I("input", usage_input_total(&x->usage)),
		CONTROL_S("why", SLICE_NONE),
	};

	if (!x->has_usage)
		return control_send_row(x->chan, "choice", f, ARRAY_LEN(f) - 2);
	say_why(x, why);
	f[ARRAY_LEN(f) - 1].s = slice_str(why);
	return control_send_row(x->chan, "choice", f, ARRAY_LEN(f));
}

static enum errc send_bill(const struct model_price *x)
{
	struct control_price r;
	struct bill b;
	enum errc e = ERRC_OK;

	bill_make(&x->row, &x->usage, &b);
	for (size_t i = 0; !e && i < b.n; i++) {
		control_price_line(&r, &b.lines[i]);
		e = control_send_row(x->chan, "class", r.f, r.n);
	}
	if (!e) {
		control_price_sum(&r, &x->row, &b);
		e = control_send_row(x->chan, "bill", r.f, r.n);
	}
	if (!e) {
		control_price_row(&r, &x->row);
		e = control_send_row(x->chan, "price", r.f, r.n);
	}
	return e;
}

static enum errc send_rows(const struct model_price *x)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < x->tariff->n; i++) {
		struct price p = *x->tariff->rows[i];
		struct control_price r;

		p.mult_ppm = x->mult_ppm;
		control_price_row(&r, &p);
		e = control_send_row(x->chan, "price", r.f, r.n);
	}
	return e;
}

static enum errc send(struct model_price *x)
{
	enum errc e;

	if (x->has_usage)
		x->row = *tariff_pick(x->tariff, x->at_s, usage_input_total(&x->usage),
				      x->usage.tier);
	x->row.mult_ppm = x->mult_ppm;
	text_decimal_print(x->mult_ppm, PPM_PLACES, 1, x->multiplier);
	e = send_choice(x);
	if (!e)
		e = x->has_usage ? send_bill(x) : send_rows(x);
	return e ? e : control_send_end(x->chan, CONTROL_DONE, "", SLICE_NONE, NULL, 0);
}

enum errc model_price_serve(struct chan *chan, const struct ptable *t,
			    const struct control_field *f, size_t n)
{
	struct model_price x = {.chan = chan, .at_s = clock_wall_s()};
	char names[256];
	struct slice usage;

	if (!control_get_str(f, n, "model", &x.model))
		return control_end(chan, CONTROL_USAGE, "missing_argument", "a model is needed");
	if (!find(&x, t))
		return not_found(&x, "model", x.model);
	if (control_get_str(f, n, "group", &x.group) && !ptable_group(t, x.group))
		return not_found(&x, "group", x.group);
	x.has_usage = control_get_str(f, n, "usage", &usage);
	if (x.has_usage && !read_usage(usage, &x.usage))
		return control_end(chan, CONTROL_USAGE, "invalid",
				   "usage: '" SLICE_FMT "' is not like input=1000,output=50; the "
				   "classes are %.*s",
				   SLICE_ARG(slice_sub(usage, 0, 200)),
				   (int)usage_names(names, sizeof(names)), names);
	if (usage_get(&x.usage, USAGE_REASONING) > usage_get(&x.usage, USAGE_OUTPUT))
		return control_end(chan, CONTROL_USAGE, "invalid",
				   "usage: reasoning is a part of output, which is at least as "
				   "much: give output=%lld or more",
				   (long long)usage_get(&x.usage, USAGE_REASONING));
	(void)control_get_i64(f, n, "at_s", &x.at_s);
	if (x.at_s < 0)
		return control_end(chan, CONTROL_USAGE, "invalid", "at: before 1970");
	x.mult_ppm = ptable_group_ppm(t, x.group);
	return send(&x);
}
