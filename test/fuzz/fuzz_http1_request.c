/* HTTP/1 requests, several behind each other. */
#include "fuzz.h"
#include "fuzz_http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_http1(HTTP1_REQUEST, slice_of(data, n));
	return 0;
}
