/* How long the input bound of 4 KiB of text takes: prose, names in camelCase, changing case; by what the processor has and by what every
 * one has, in one piece and in pieces as escapes leave them. */
#include "bound.h"
#include "micro.h"

#define TEXT_BYTES  4096
#define SMALL_PIECE 40

struct feed {
	char text[TEXT_BYTES];
	uint64_t sum;
};

static void fill(struct feed *f, const char *with)
{
	size_t n = strlen(with);

	for (size_t i = 0; i < TEXT_BYTES; i++)
		f->text[i] = with[i % n];
}

static void count_whole(void *arg)
{
	struct feed *f = arg;

	f->sum += bound_text(slice_of(f->text, TEXT_BYTES));
}

static void count_narrow(void *arg)
{
	struct feed *f = arg;
	struct bound_run r = {0};

	bound_push_narrow(&r, slice_of(f->text, TEXT_BYTES));
	f->sum += bound_of(&r);
}

static void count_pieces(void *arg)
{
	struct feed *f = arg;
	struct bound_run r = {0};

	for (size_t i = 0; i < TEXT_BYTES; i += SMALL_PIECE)
		bound_push(&r, slice_of(f->text + i, MIN_OF((size_t)SMALL_PIECE, TEXT_BYTES - i)));
	f->sum += bound_of(&r);
}

int main(void)
{
	static const char *const texts[][2] = {
		{"prose", "It is a truth universally acknowledged, that a single man must be in "
			  "want of a wife. "},
		{"camelCase", "if (requestCount > maxRequests) return sendError(tooManyRequests, "
			      "retryAfterMs); "},
		{"aOaO", "aO"},
	};
	static struct feed f;
	char name[64];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		fill(&f, texts[i][1]);
		snprintf(name, sizeof(name), "4 KiB, %s", texts[i][0]);
		micro_run(name, count_whole, &f);
		micro_run("the same by what every processor has", count_narrow, &f);
		micro_run("the same in pieces of 40 bytes", count_pieces, &f);
	}
	require(f.sum > 0);
	return 0;
}
