/* Answers of Anthropic's dialect, translated for a chat client. */
#include "fuzz.h"
#include "fuzz_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_answer(data, n, PTABLE_ANTHROPIC);
	return 0;
}
