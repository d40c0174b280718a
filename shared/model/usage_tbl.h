/* The classes of the neutral usage record: name, side (IN: tokens of the input, OUT: tokens of the output, OF: part of
 * another class and not counted beside it, EACH: no tokens but pieces), the class whose price is taken when the model's
 * price names none; pieces then cost nothing. Classes of the sides IN and OUT are disjoint. The order is part of stored
 * records: new ones go to the end. */
/* clang-format off */
USAGE(INPUT, input, IN, INPUT)				/* neither cached nor of another kind */
USAGE(CACHE_READ, cache_read, IN, INPUT)
USAGE(CACHE_WRITE_5M, cache_write_5m, IN, INPUT)
USAGE(CACHE_WRITE_1H, cache_write_1h, IN, CACHE_WRITE_5M)
USAGE(INPUT_AUDIO, input_audio, IN, INPUT)
USAGE(INPUT_IMAGE, input_image, IN, INPUT)
USAGE(OUTPUT, output, OUT, OUTPUT)			/* everything generated but audio and images */
USAGE(OUTPUT_AUDIO, output_audio, OUT, OUTPUT)
USAGE(OUTPUT_IMAGE, output_image, OUT, OUTPUT)
USAGE(REASONING, reasoning, OF, OUTPUT)			/* of output */
USAGE(IMAGE, image, EACH, IMAGE)				/* given in the request; its tokens count beside it */
USAGE(WEB_SEARCH, web_search, EACH, WEB_SEARCH)		/* that the provider ran; what it found counts as input */
/* clang-format on */
