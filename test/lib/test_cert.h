/* Certificates for tests, made on the spot: an EC key on P-256, a name, an issuer. */
#ifndef AIGW_TEST_CERT_H
#define AIGW_TEST_CERT_H

#include "slice.h"

#define TEST_CERT_PEM 4096

struct test_cert {
	bool is_weak; /* set before test_cert_make(): signed with SHA-1 */
	void *key;    /* private */
	char crt_pem[TEST_CERT_PEM], key_pem[TEST_CERT_PEM];
	char name[64];
};

/* For `host` (a DNS name, or an IPv4 address), signed by `issuer`, or by itself and then a CA when that is NULL. `not_after` is "20991231235959". Aborts when it
 * cannot be made. */
void test_cert_make(struct test_cert *c, const char *host, const struct test_cert *issuer,
		    const char *not_after);
void test_cert_drop(struct test_cert *c);

#endif
