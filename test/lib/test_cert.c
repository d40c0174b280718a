#include "test_cert.h"

#include <arpa/inet.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>

#include "mem.h"

#define RNG mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE

static mbedtls_pk_context *key_make(void)
{
	mbedtls_pk_context *key = mem_new_of(mbedtls_pk_context);

	require(key != NULL);
	mbedtls_pk_init(key);
	require(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
	require(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), RNG) == 0);
	return key;
}

void test_cert_make(struct test_cert *c, const char *host, const struct test_cert *issuer,
		    const char *not_after)
{
	mbedtls_x509write_cert w;
	unsigned char serial[] = {1, 2, 3};
	mbedtls_x509_san_list san = {.node = {.type = MBEDTLS_X509_SAN_DNS_NAME}};
	struct in_addr ip;
	bool is_ip = inet_pton(AF_INET, host, &ip) == 1;

	require(psa_crypto_init() == PSA_SUCCESS);
	snprintf(c->name, sizeof(c->name), "CN=%s,O=aigw test", host);
	c->key = key_make();
	mbedtls_x509write_crt_init(&w);
	mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&w, c->is_weak ? MBEDTLS_MD_SHA1 : MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&w, c->key);
	mbedtls_x509write_crt_set_issuer_key(&w, issuer ? issuer->key : c->key);
	require(mbedtls_x509write_crt_set_subject_name(&w, c->name) == 0);
	require(mbedtls_x509write_crt_set_issuer_name(&w, issuer ? issuer->name : c->name) == 0);
	require(mbedtls_x509write_crt_set_serial_raw(&w, serial, sizeof(serial)) == 0);
	require(mbedtls_x509write_crt_set_validity(&w, "20200101000000", not_after) == 0);
	require(mbedtls_x509write_crt_set_basic_constraints(&w, issuer == NULL, -1) == 0);
	if (is_ip)
		san.node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
	san.node.san.unstructured_name.p = is_ip ? (unsigned char *)&ip : (unsigned char *)host;
	san.node.san.unstructured_name.len = is_ip ? sizeof(ip) : strlen(host);
	require(mbedtls_x509write_crt_set_subject_alternative_name(&w, &san) == 0);
	require(mbedtls_x509write_crt_pem(&w, (unsigned char *)c->crt_pem, sizeof(c->crt_pem),
					  RNG) == 0);
	require(mbedtls_pk_write_key_pem(c->key, (unsigned char *)c->key_pem, sizeof(c->key_pem)) ==
		0);
	mbedtls_x509write_crt_free(&w);
}

void test_cert_drop(struct test_cert *c)
{
	mbedtls_pk_free(c->key);
	mem_free(c->key);
	c->key = NULL;
}
