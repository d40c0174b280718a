/* A provider table's blob of any bytes: refused, or a table whose parts can all be found by their names. */
#include "ptable.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ptable *t = NULL;

	if (ptable_decode(slice_of(data, n), &t) != ERRC_OK) {
		require(t == NULL);
		return 0;
	}
	for (size_t i = 0; i < t->models_n; i++) {
		require(ptable_model(t, t->models[i].name) == &t->models[i]);
		for (size_t k = 0; k < t->models[i].offers_n; k++)
			require(&t->models[i].offers[k] == &t->offers[t->models[i].offers[k].index]);
	}
	for (size_t i = 0; i < t->providers_n; i++)
		require(ptable_provider(t, t->providers[i].name) == &t->providers[i]);
	ptable_drop(&t);
	return 0;
}
