/* Read after Mbed TLS's own mbedtls_config.h (MBEDTLS_USER_CONFIG_FILE). */

/* X25519 by Project Everest: verified, and about seven times faster on x86-64. */
#define MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED

/* Buffers shrink to what the peers agreed on once the handshake is over. */
#define MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH

/* Handshakes run on a thread of their own. */
#define MBEDTLS_THREADING_C
#define MBEDTLS_THREADING_PTHREAD
