/* Answers of the OpenAI family, passed through. */
#include "fuzz.h"
#include "fuzz_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_answer(data, n, PTABLE_OPENAI);
	return 0;
}
