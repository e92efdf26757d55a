/* Uses every function of the header, rightly and wrongly. Arguments: the folders of fixtures and expectations. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sealwright_verifier.h"

/* Assertions are the test, so they stay on. */
#ifdef NDEBUG
#error "compile without NDEBUG"
#endif

static const char *fixtures, *expectations;

static unsigned char *read_from(const char *folder, const char *name, size_t *length) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) { perror(path); exit(2); }
    unsigned char *bytes = malloc(1 << 20);
    assert(bytes != NULL);
    *length = fread(bytes, 1, (1 << 20) - 1, file);
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

static SealwrightResult give(SealwrightVerifier *verifier, const char *name,
                             SealwrightResult (*take)(SealwrightVerifier *, const uint8_t *, size_t)) {
    size_t length;
    unsigned char *bytes = read_from(fixtures, name, &length);
    SealwrightResult result = take(verifier, bytes, length);
    free(bytes);
    return result;
}

static SealwrightResult trust(SealwrightVerifier *verifier, const uint8_t *bytes, size_t length) {
    return sealwright_trust(verifier, bytes, length, SEALWRIGHT_VOUCHES_TIERS);
}

static SealwrightResult trust_signatures(SealwrightVerifier *verifier, const uint8_t *bytes, size_t length) {
    return sealwright_trust(verifier, bytes, length, SEALWRIGHT_VOUCHES_SIGNATURES_ONLY);
}

static int64_t at;

static SealwrightResult verify(SealwrightVerifier *verifier, const uint8_t *bytes, size_t length) {
    return sealwright_verify(verifier, bytes, length, at);
}

static void says_nothing(const SealwrightVerifier *verifier) {
    size_t length = 1;
    assert(sealwright_json(verifier) == NULL);
    assert(sealwright_status(verifier) == NULL);
    assert(sealwright_label(verifier) == NULL);
    assert(sealwright_tier(verifier) == 0);
    assert(sealwright_badge(verifier) == NULL);
    assert(sealwright_verified_bytes(verifier, &length) == NULL && length == 0);
}

static void refuses(SealwrightVerifier *verifier, SealwrightResult result, SealwrightResult expected, const char *because) {
    assert(result == expected);
    assert(sealwright_error(verifier) != NULL);
    if (strstr(sealwright_error(verifier), because) == NULL) {
        fprintf(stderr, "%s: not because of %s\n", sealwright_error(verifier), because);
        abort();
    }
    says_nothing(verifier);
}

/* The report is the expected one byte for byte, and the accessors agree with it. */
static void examines(SealwrightVerifier *verifier, const char *name) {
    char file[256];
    snprintf(file, sizeof file, "%s.eml", name);
    assert(give(verifier, file, verify) == SEALWRIGHT_RESULT_OK);
    assert(sealwright_error(verifier) == NULL);
    snprintf(file, sizeof file, "%s.json", name);
    size_t length, verified_length;
    char *expected = (char *)read_from(expectations, file, &length);
    const char *json = sealwright_json(verifier);
    if (strcmp(json, expected) != 0) {
        fprintf(stderr, "%s: %s\nexpected: %s\n", name, json, expected);
        abort();
    }
    free(expected);
    char status[64], label[256];
    snprintf(status, sizeof status, "{\"status\":\"%s\"", sealwright_status(verifier));
    snprintf(label, sizeof label, "\"label\":\"%s\"", sealwright_label(verifier));
    assert(strncmp(json, status, strlen(status)) == 0 && strstr(json, label) != NULL);
    assert((sealwright_tier(verifier) != 0) == (strcmp(sealwright_status(verifier), "tier") == 0));
    assert(strncmp(sealwright_badge(verifier), "<svg ", 5) == 0);
    assert(strstr(sealwright_badge(verifier), sealwright_label(verifier)) != NULL);
    const uint8_t *verified = sealwright_verified_bytes(verifier, &verified_length);
    assert((verified != NULL) == (strstr(json, "\"integrity\":\"intact\"") != NULL));
    assert(verified == NULL ? verified_length == 0 : memcmp(verified, "Content-Type:", 13) == 0);
    assert(sealwright_verified_bytes(verifier, NULL) == NULL);
    printf("%s: %s\n", name, sealwright_label(verifier));
}

int main(int count, char **arguments) {
    assert(count == 3);
    fixtures = arguments[1];
    expectations = arguments[2];
    size_t length;
    char *seconds = (char *)read_from(expectations, "at", &length);
    at = strtoll(seconds, NULL, 10);
    free(seconds);
    assert(strchr(sealwright_version(), '.') != NULL);

    /* Messages. */
    SealwrightVerifier *verifier = sealwright_new();
    assert(verifier != NULL);
    says_nothing(verifier);
    assert(sealwright_error(verifier) == NULL);
    assert(give(verifier, "root.pem", trust) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "root.crl", sealwright_add_crls) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "issuing-crl.pem", sealwright_add_crls) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "issuing.cer", sealwright_add_intermediates) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "other.ocsp", sealwright_add_ocsp_response) == SEALWRIGHT_RESULT_OK);
    static const char *const names[] = {"v1", "v2", "v3", "v4", "tampered", "other-sender", "unsigned"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) examines(verifier, names[index]);
    examines(verifier, "v4");
    assert(sealwright_tier(verifier) == 4);

    /* Another language, in which nothing but words differs. */
    assert(sealwright_set_language(verifier, SEALWRIGHT_LANGUAGE_SWEDISH) == SEALWRIGHT_RESULT_OK);
    says_nothing(verifier);
    assert(give(verifier, "tampered.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(strcmp(sealwright_label(verifier), "TRASIG SIGNATUR (innehållet har ändrats)") == 0);
    assert(strstr(sealwright_badge(verifier), "lang=\"sv\"") != NULL);
    assert(strstr(sealwright_json(verifier), "\"status\":\"broken\"") != NULL);
    refuses(verifier, sealwright_set_language(verifier, 0), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "no SealwrightLanguage");
    refuses(verifier, sealwright_set_language(verifier, 3), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "no SealwrightLanguage");
    assert(sealwright_set_language(NULL, SEALWRIGHT_LANGUAGE_ENGLISH) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_badge(NULL) == NULL);
    assert(sealwright_set_language(verifier, SEALWRIGHT_LANGUAGE_ENGLISH) == SEALWRIGHT_RESULT_OK);

    /* What is refused leaves nothing to be mistaken for the verdict, and what was set up before stays. */
    const uint8_t *one = (const uint8_t *)"x";
    refuses(verifier, sealwright_verify(verifier, NULL, 1, at), SEALWRIGHT_RESULT_NULL_POINTER, "null");
    refuses(verifier, sealwright_verify(verifier, one, SIZE_MAX, at), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "no memory holds");
    refuses(verifier, sealwright_verify(verifier, one, (size_t)-5, at), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "no memory holds");
    refuses(verifier, sealwright_trust(verifier, NULL, 1, 1), SEALWRIGHT_RESULT_NULL_POINTER, "null");
    refuses(verifier, sealwright_trust(verifier, NULL, 0, 1), SEALWRIGHT_RESULT_INVALID_INPUT, "no certificate");
    refuses(verifier, sealwright_trust(verifier, one, 1, 1), SEALWRIGHT_RESULT_INVALID_INPUT, "no certificate");
    refuses(verifier, sealwright_trust(verifier, (const uint8_t *)"\xff\xfe", 2, 1), SEALWRIGHT_RESULT_INVALID_INPUT, "PEM");
    refuses(verifier, sealwright_trust(verifier, one, 1, 0), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "SealwrightVouches");
    refuses(verifier, sealwright_trust(verifier, one, 1, -1), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "SealwrightVouches");
    refuses(verifier, sealwright_add_crls(verifier, NULL, 1), SEALWRIGHT_RESULT_NULL_POINTER, "null");
    refuses(verifier, give(verifier, "root.pem", sealwright_add_crls), SEALWRIGHT_RESULT_INVALID_INPUT, "X509 CRL");
    refuses(verifier, give(verifier, "issuing.cer", sealwright_add_crls), SEALWRIGHT_RESULT_INVALID_INPUT, "list");
    refuses(verifier, sealwright_add_ocsp_response(verifier, NULL, 1), SEALWRIGHT_RESULT_NULL_POINTER, "null");
    refuses(verifier, give(verifier, "root.crl", sealwright_add_ocsp_response), SEALWRIGHT_RESULT_INVALID_INPUT, "OCSP");
    refuses(verifier, sealwright_add_intermediates(verifier, NULL, 1), SEALWRIGHT_RESULT_NULL_POINTER, "null");
    refuses(verifier, sealwright_set_unsettled_revocation(verifier, 0, 1), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "0 is no");
    refuses(verifier, sealwright_set_unsettled_revocation(verifier, 1, 3), SEALWRIGHT_RESULT_INVALID_ARGUMENT, "3 is no");
    examines(verifier, "v4");

    /* What is set is followed; any time and any bytes are answered. */
    static const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (size_t index = 0; index < sizeof times / sizeof times[0]; index++) {
        at = times[index];
        assert(give(verifier, "v4.eml", verify) == SEALWRIGHT_RESULT_OK);
        assert(strcmp(sealwright_status(verifier), "not_verified") == 0);
    }
    assert(sealwright_verify(verifier, NULL, 0, 0) == SEALWRIGHT_RESULT_OK);
    assert(strcmp(sealwright_status(verifier), "not_signed") == 0);
    assert(sealwright_verify(verifier, (const uint8_t *)"From: \xff\0\r\n\r\n\xfe", 13, 0) == SEALWRIGHT_RESULT_OK);
    assert(sealwright_json(verifier) != NULL);
    seconds = (char *)read_from(expectations, "at", &length);
    at = strtoll(seconds, NULL, 10);
    free(seconds);
    assert(sealwright_set_maximum_message_size(verifier, 100) == SEALWRIGHT_RESULT_OK);
    says_nothing(verifier);
    assert(give(verifier, "v4.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(strstr(sealwright_json(verifier), "message-too-large") != NULL);
    sealwright_free(verifier);

    verifier = sealwright_new();
    assert(give(verifier, "v1.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(strcmp(sealwright_status(verifier), "not_verified") == 0);
    assert(give(verifier, "root.pem", trust_signatures) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "v1.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(strcmp(sealwright_status(verifier), "signed") == 0 && sealwright_tier(verifier) == 0);
    sealwright_free(verifier);

    verifier = sealwright_new();
    assert(give(verifier, "root.pem", trust) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "v1.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(sealwright_tier(verifier) == 1);
    assert(sealwright_set_unsettled_revocation(verifier, SEALWRIGHT_UNSETTLED_REVOCATION_WITHHOLD_TIER,
                                               SEALWRIGHT_UNSETTLED_REVOCATION_WITHHOLD_TIER) == SEALWRIGHT_RESULT_OK);
    assert(give(verifier, "v1.eml", verify) == SEALWRIGHT_RESULT_OK);
    assert(strcmp(sealwright_status(verifier), "signed") == 0 && sealwright_tier(verifier) == 0);
    sealwright_free(verifier);

    /* No handle at all. */
    says_nothing(NULL);
    assert(sealwright_error(NULL) == NULL);
    assert(sealwright_trust(NULL, one, 1, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_add_intermediates(NULL, one, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_add_crls(NULL, one, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_add_ocsp_response(NULL, one, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_set_unsettled_revocation(NULL, 1, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_set_maximum_message_size(NULL, 1) == SEALWRIGHT_RESULT_NULL_POINTER);
    assert(sealwright_verify(NULL, one, 1, 0) == SEALWRIGHT_RESULT_NULL_POINTER);
    sealwright_free(NULL);
    puts("every expectation was met");
    return 0;
}
