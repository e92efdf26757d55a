#ifndef SEALWRIGHT_VERIFIER_H
#define SEALWRIGHT_VERIFIER_H

/* Written by cbindgen from verifier/c/src: change it there. */

#include <stddef.h>
#include <stdint.h>

/**
 * What came of a call.
 */
typedef enum {
  /**
   * It was done.
   */
  SEALWRIGHT_RESULT_OK = 0,
  /**
   * A pointer was null that must not be.
   */
  SEALWRIGHT_RESULT_NULL_POINTER = 1,
  /**
   * A number has no meaning there, or a length exceeds what memory can hold.
   */
  SEALWRIGHT_RESULT_INVALID_ARGUMENT = 2,
  /**
   * The certificates, revocation lists or OCSP responses cannot be used; sealwright_error says why. None of them was taken.
   */
  SEALWRIGHT_RESULT_INVALID_INPUT = 3,
  /**
   * A defect of this library. The handle can be used further, but please report it.
   */
  SEALWRIGHT_RESULT_INTERNAL_ERROR = 4,
} SealwrightResult;

/**
 * What an anchor's certificates are believed about.
 */
typedef enum {
  /**
   * Identities: its certificates may carry a tier.
   */
  SEALWRIGHT_VOUCHES_TIERS = 1,
  /**
   * Only that an address owns a key: signatures verify, no tier is shown.
   */
  SEALWRIGHT_VOUCHES_SIGNATURES_ONLY = 2,
} SealwrightVouches;

/**
 * Whether a tier may be shown although revocation could not be settled. Revoked certificates never keep one.
 */
typedef enum {
  /**
   * The tier stays, with a warning among the findings.
   */
  SEALWRIGHT_UNSETTLED_REVOCATION_KEEP_TIER = 1,
  /**
   * The status is "signed" at best.
   */
  SEALWRIGHT_UNSETTLED_REVOCATION_WITHHOLD_TIER = 2,
} SealwrightUnsettledRevocation;

/**
 * A language of labels, badges and what explains findings.
 */
typedef enum {
  /**
   * English.
   */
  SEALWRIGHT_LANGUAGE_ENGLISH = 1,
  /**
   * Swedish.
   */
  SEALWRIGHT_LANGUAGE_SWEDISH = 2,
} SealwrightLanguage;

/**
 * A verifier with all it trusts, and what it said last. Its inside is nobody else's business.
 */
typedef struct SealwrightVerifier SealwrightVerifier;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of this library, such as "0.1.0".
 */
const char *sealwright_version(void);

/**
 * Makes a verifier that trusts nobody. Give it back with sealwright_free.
 *
 * A verifier may be used by one thread at a time; several verifiers need not know of each other. Null if it cannot be
 * made.
 */
SealwrightVerifier *sealwright_new(void);

/**
 * Ends a verifier and everything it has returned. Null is allowed.
 *
 * # Safety
 *
 * `verifier` is null, or came from sealwright_new and was not given back before. No other call is using it.
 */
void sealwright_free(SealwrightVerifier *verifier);

/**
 * Trusts every certificate in `certificates` (DER, or PEM with one or more). `vouches` is a SealwrightVouches.
 *
 * Either all of them are trusted or none.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `certificates` is null or points to `length` readable bytes.
 */
SealwrightResult sealwright_trust(SealwrightVerifier *verifier,
                                  const uint8_t *certificates,
                                  size_t length,
                                  int vouches);

/**
 * Keeps certificates of authorities (DER, or PEM with one or more) for senders who left them out. They are not trusted
 * by that.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `certificates` is null or points to `length` readable bytes.
 */
SealwrightResult sealwright_add_intermediates(SealwrightVerifier *verifier, const uint8_t *certificates, size_t length);

/**
 * Keeps certificate revocation lists (DER, or PEM with one or more).
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `lists` is null or points to `length` readable bytes.
 */
SealwrightResult sealwright_add_crls(SealwrightVerifier *verifier, const uint8_t *lists, size_t length);

/**
 * Keeps an OCSP response in DER, stapled or fetched by somebody else.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `response` is null or points to `length` readable bytes.
 */
SealwrightResult sealwright_add_ocsp_response(SealwrightVerifier *verifier, const uint8_t *response, size_t length);

/**
 * Decides what becomes of a tier when no revocation list was handed in for a certificate (`not_checked`) and when none
 * of those handed in could be used (`unknown`), each a SealwrightUnsettledRevocation.
 *
 * Without this call they are KEEP_TIER and WITHHOLD_TIER.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
SealwrightResult sealwright_set_unsettled_revocation(SealwrightVerifier *verifier, int not_checked, int unknown);

/**
 * Messages of more than `size` bytes are not looked at. Without this call it is 64 MiB.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
SealwrightResult sealwright_set_maximum_message_size(SealwrightVerifier *verifier, size_t size);

/**
 * Decides in which language labels, badges and what explains findings are written from now on: a SealwrightLanguage.
 *
 * Without this call it is English.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
SealwrightResult sealwright_set_language(SealwrightVerifier *verifier, int language);

/**
 * Examines a message as it arrived (all header fields and the body), at a point in time in seconds since 1970.
 *
 * The result is Ok whatever is wrong with the message: what there is to say of it is read with the functions below.
 * They say nothing after any other result.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `message` is null or points to `length` readable bytes.
 */
SealwrightResult sealwright_verify(SealwrightVerifier *verifier, const uint8_t *message, size_t length, int64_t at);

/**
 * What there is to say of the message, as one JSON object in UTF-8; null unless the last call was a sealwright_verify
 * that returned Ok.
 *
 * This pointer and those below are valid until the next call with this verifier that is not one of sealwright_json,
 * sealwright_status, sealwright_label, sealwright_tier, sealwright_badge, sealwright_verified_bytes and
 * sealwright_error.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
const char *sealwright_json(const SealwrightVerifier *verifier);

/**
 * The status: "tier", "signed", "not_verified", "broken" or "not_signed"; null when there is nothing to say.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
const char *sealwright_status(const SealwrightVerifier *verifier);

/**
 * The one line a reader sees, in UTF-8; null when there is nothing to say.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
const char *sealwright_label(const SealwrightVerifier *verifier);

/**
 * The tier, 1 to 4, and 0 for none and when there is nothing to say.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
int sealwright_tier(const SealwrightVerifier *verifier);

/**
 * The badge, an SVG document in UTF-8 without scripts, styles or references; null when there is nothing to say. Show it
 * outside of the message.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
const char *sealwright_badge(const SealwrightVerifier *verifier);

/**
 * The MIME entity that was signed, header block and body, and its length; null and 0 unless the signature is intact.
 * Show this and nothing else. A signed entity of no bytes gives a pointer that is not null and the length 0.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new; `length` is null or points to a size_t that can be written.
 */
const uint8_t *sealwright_verified_bytes(const SealwrightVerifier *verifier, size_t *length);

/**
 * Why the last call did not return Ok, as a sentence in UTF-8; null if it did.
 *
 * # Safety
 *
 * `verifier` is null or came from sealwright_new.
 */
const char *sealwright_error(const SealwrightVerifier *verifier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SEALWRIGHT_VERIFIER_H */
