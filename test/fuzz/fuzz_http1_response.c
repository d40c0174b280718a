/* HTTP/1 responses, several behind each other. */
#include "fuzz.h"
#include "fuzz_http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_http1(HTTP1_RESPONSE, slice_of(data, n));
	return 0;
}
