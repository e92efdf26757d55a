//! The tables, as every query sees them; a test compares them with both databases.
//!
//! Instants are whole seconds since 1970 in `BigInt`; identifiers, enumerations and JSON are `Text`.

diesel::table! {
    accounts (id) {
        id -> Text,
        kind -> Text,
        name -> Text,
        created_at -> BigInt,
        plan -> Text,
        granted_employee_seats -> BigInt,
    }
}

diesel::table! {
    principals (id) {
        id -> Text,
        account_id -> Nullable<Text>,
        role -> Text,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Text,
        principal_id -> Text,
        token_hash -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    cases (id) {
        id -> Text,
        account_id -> Text,
        kind -> Text,
        subject -> Text,
        state -> Text,
        opened_by -> Text,
        opened_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    case_documents (id) {
        id -> Text,
        case_id -> Text,
        account_id -> Text,
        name -> Text,
        media_type -> Text,
        sha256 -> Binary,
        sealed -> Binary,
        added_by -> Text,
        added_at -> BigInt,
    }
}

diesel::table! {
    case_evidence (id) {
        id -> Text,
        case_id -> Text,
        account_id -> Text,
        method -> Text,
        documents -> Text,
        note -> Text,
        recorded_by -> Text,
        collected_at -> BigInt,
    }
}

diesel::table! {
    case_decisions (id) {
        id -> Text,
        case_id -> Text,
        principal_id -> Text,
        decision -> Text,
        reason -> Text,
        decided_at -> BigInt,
    }
}

diesel::table! {
    evidence (id) {
        id -> Text,
        account_id -> Text,
        fact_kind -> Text,
        subject -> Text,
        fact -> Text,
        method -> Text,
        br_version -> Text,
        collected_at -> BigInt,
        recorded_by -> Text,
        approved_by -> Text,
        documents -> Text,
        case_id -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    challenges (id) {
        id -> Text,
        account_id -> Text,
        requested_by -> Text,
        fact_kind -> Text,
        subject -> Text,
        sent_to -> Text,
        link_hash -> Binary,
        code_hash -> Binary,
        sent_at -> BigInt,
        expires_at -> BigInt,
        attempts -> BigInt,
        state -> Text,
        answered_at -> Nullable<BigInt>,
        evidence_id -> Nullable<Text>,
    }
}

diesel::table! {
    issuers (id) {
        id -> Text,
        kind -> Text,
        name -> Text,
        key_id -> Text,
        certificate -> Binary,
        parent_id -> Nullable<Text>,
        created_at -> BigInt,
        crl_number -> BigInt,
    }
}

diesel::table! {
    orders (id) {
        id -> Text,
        account_id -> Text,
        requested_by -> Text,
        idempotency_key -> Nullable<Text>,
        mailbox -> Text,
        tier -> Text,
        generation -> Text,
        certificate_request -> Binary,
        state -> Text,
        certificate_id -> Nullable<Text>,
        problem -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        key_use -> Text,
    }
}

diesel::table! {
    certificates (id) {
        id -> Text,
        issuer_id -> Text,
        serial -> Text,
        account_id -> Text,
        order_id -> Text,
        tier -> Text,
        generation -> Text,
        profile_sha256 -> Binary,
        mailbox -> Text,
        subject -> Text,
        tbs -> Binary,
        tbs_sha256 -> Binary,
        state -> Text,
        certificate -> Nullable<Binary>,
        not_before -> BigInt,
        not_after -> BigInt,
        recorded_at -> BigInt,
        signed_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        revocation_reason -> Nullable<Text>,
        spki_sha256 -> Nullable<Binary>,
        key_use -> Text,
        crl_shard -> Integer,
    }
}

diesel::table! {
    subject_keys (spki_sha256) {
        spki_sha256 -> Binary,
        account_id -> Text,
        first_claimed_at -> BigInt,
        last_claimed_at -> BigInt,
        compromised_at -> Nullable<BigInt>,
        compromised_serial -> Nullable<Text>,
    }
}

diesel::table! {
    certificate_evidence (certificate_id, evidence_id) {
        certificate_id -> Text,
        evidence_id -> Text,
    }
}

diesel::table! {
    crls (issuer_id, number) {
        issuer_id -> Text,
        number -> BigInt,
        this_update -> BigInt,
        next_update -> BigInt,
        der -> Binary,
        shard -> Integer,
    }
}

diesel::table! {
    crl_shards (issuer_id, shard, url) {
        issuer_id -> Text,
        shard -> Integer,
        url -> Text,
    }
}

diesel::table! {
    problem_reports (id) {
        id -> Text,
        issuer_id -> Text,
        serial -> Text,
        received_at -> BigInt,
        cause -> Text,
        text -> Text,
        contact -> Nullable<Text>,
        source -> Text,
        state -> Text,
        findings -> Nullable<Text>,
        answered_by -> Nullable<Text>,
        answered_at -> Nullable<BigInt>,
        closed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    crls_begun (issuer_id, shard) {
        issuer_id -> Text,
        shard -> Integer,
        number -> BigInt,
        begun_at -> BigInt,
    }
}

diesel::table! {
    ocsp_responders (id) {
        id -> Text,
        issuer_id -> Text,
        serial -> Text,
        key_id -> Text,
        tbs -> Binary,
        tbs_sha256 -> Binary,
        certificate -> Nullable<Binary>,
        not_before -> BigInt,
        not_after -> BigInt,
        recorded_at -> BigInt,
    }
}

diesel::table! {
    audit_log (sequence) {
        sequence -> BigInt,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        details -> Text,
        previous_hash -> Binary,
        hash -> Binary,
    }
}

diesel::table! {
    audit_checkpoints (sequence) {
        sequence -> BigInt,
        at -> BigInt,
        head_hash -> Binary,
        key_id -> Text,
        signature -> Binary,
        note -> Nullable<Text>,
    }
}

diesel::table! {
    audit_tiles (level, number) {
        level -> BigInt,
        number -> BigInt,
        hashes -> Binary,
    }
}

diesel::table! {
    identities (id) {
        id -> Text,
        mailbox -> Text,
        key_id -> Text,
        state -> Text,
        certificate_request -> Binary,
        problem -> Nullable<Text>,
        tier -> Nullable<Text>,
        serial -> Nullable<Text>,
        chain_pem -> Nullable<Text>,
        not_before -> Nullable<BigInt>,
        not_after -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    rosters (id) {
        id -> Text,
        account_id -> Text,
        organization_identifier -> Text,
        state -> Text,
        file_sha256 -> Binary,
        sealed -> Binary,
        opened_by -> Text,
        opened_at -> BigInt,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    roster_rows (roster_id, number) {
        roster_id -> Text,
        number -> BigInt,
        line -> Nullable<BigInt>,
        outcome -> Text,
        mailbox -> Text,
        subject -> Text,
    }
}

diesel::table! {
    evidence_withdrawals (evidence_id) {
        evidence_id -> Text,
        roster_id -> Text,
        withdrawn_at -> BigInt,
    }
}

diesel::table! {
    expiry_notices (certificate_id, days_before) {
        certificate_id -> Text,
        days_before -> BigInt,
        claimed_at -> BigInt,
    }
}

diesel::table! {
    caa_checks (id) {
        id -> Text,
        domain -> Text,
        issuers -> Text,
        checked_at -> BigInt,
        decision -> Text,
        found_at -> Nullable<Text>,
        records -> Text,
        iodef -> Text,
        proof -> Text,
        reason -> Text,
    }
}

diesel::table! {
    domain_challenges (id) {
        id -> Text,
        account_id -> Text,
        requested_by -> Text,
        domain -> Text,
        method -> Text,
        value -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        looked_at -> BigInt,
        state -> Text,
        problem -> Nullable<Text>,
        evidence_id -> Nullable<Text>,
    }
}

diesel::table! {
    certificate_permissions (certificate_id) {
        certificate_id -> Text,
        caa_check_id -> Nullable<Text>,
        not_checked_because -> Nullable<Text>,
    }
}

diesel::table! {
    corroborations (id) {
        id -> Text,
        subject -> Text,
        domain -> Text,
        made_at -> BigInt,
        standard -> Text,
        needed_perspectives -> BigInt,
        needed_registries -> BigInt,
        asked -> BigInt,
        corroborating -> BigInt,
        outcome -> Text,
    }
}

diesel::table! {
    corroboration_answers (corroboration_id, perspective) {
        corroboration_id -> Text,
        perspective -> Text,
        registry -> Text,
        network -> Nullable<Text>,
        answered_at -> Nullable<BigInt>,
        corroborates -> Bool,
        saw -> Text,
    }
}

diesel::table! {
    evidence_corroborations (evidence_id) {
        evidence_id -> Text,
        corroboration_id -> Text,
    }
}

diesel::table! {
    caa_corroborations (caa_check_id) {
        caa_check_id -> Text,
        corroboration_id -> Text,
    }
}

diesel::table! {
    queue_messages (id) {
        id -> Text,
        received_at -> BigInt,
        reverse_path -> Text,
        parameters -> Text,
        smtputf8 -> Bool,
        body_object -> Text,
        body_offset -> BigInt,
        body_octets -> BigInt,
        open_recipients -> BigInt,
        kept_until -> BigInt,
    }
}

diesel::table! {
    queue_recipients (message_id, number) {
        message_id -> Text,
        number -> BigInt,
        address -> Text,
        parameters -> Text,
        state -> Text,
        attempts -> BigInt,
        next_attempt_at -> BigInt,
        delay_notice_sent -> Bool,
        lease_node -> Nullable<Text>,
        last_reply -> Nullable<Text>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    queue_nodes (id) {
        id -> Text,
        alive_until -> BigInt,
    }
}

diesel::table! {
    queue_secrets (name) {
        name -> Text,
        octets -> Binary,
    }
}

diesel::table! {
    queue_submissions (message_id) {
        message_id -> Text,
        submission_id -> Text,
        token_id -> Text,
    }
}

diesel::joinable!(queue_submissions -> queue_messages (message_id));
diesel::joinable!(queue_recipients -> queue_messages (message_id));
diesel::allow_tables_to_appear_in_same_query!(queue_messages, queue_recipients, queue_nodes, queue_submissions);
diesel::table! {
    acme_external_keys (id) {
        id -> Text,
        account_id -> Text,
        name -> Text,
        sealed -> Binary,
        created_by -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    acme_accounts (id) {
        id -> Text,
        account_id -> Text,
        principal_id -> Text,
        external_key_id -> Text,
        jwk -> Text,
        thumbprint -> Text,
        contacts -> Text,
        terms_agreed_at -> Nullable<BigInt>,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    acme_orders (id) {
        id -> Text,
        acme_account_id -> Text,
        mailbox -> Text,
        tier -> Text,
        order_id -> Nullable<Text>,
        replaces -> Nullable<Text>,
        problem -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    acme_authorizations (id) {
        id -> Text,
        acme_account_id -> Text,
        acme_order_id -> Text,
        mailbox -> Text,
        state -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        reply_tag -> Text,
        token_part1 -> Nullable<Binary>,
        token_part2 -> Text,
        message_id -> Nullable<Text>,
        mailed_at -> Nullable<BigInt>,
        client_ready_at -> Nullable<BigInt>,
        validated_at -> Nullable<BigInt>,
        evidence_id -> Nullable<Text>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    acme_used_nonces (nonce) {
        nonce -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    acme_secrets (name) {
        name -> Text,
        sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    evidence_for_order (evidence_id) {
        evidence_id -> Text,
        order_id -> Text,
    }
}

diesel::joinable!(principals -> accounts (account_id));
diesel::joinable!(api_tokens -> principals (principal_id));
diesel::joinable!(cases -> accounts (account_id));
diesel::joinable!(case_documents -> cases (case_id));
diesel::joinable!(case_documents -> accounts (account_id));
diesel::joinable!(case_evidence -> cases (case_id));
diesel::joinable!(case_evidence -> accounts (account_id));
diesel::joinable!(case_decisions -> cases (case_id));
diesel::joinable!(case_decisions -> principals (principal_id));
diesel::joinable!(evidence -> accounts (account_id));
diesel::joinable!(evidence -> cases (case_id));
diesel::joinable!(challenges -> accounts (account_id));
diesel::joinable!(challenges -> evidence (evidence_id));
diesel::joinable!(orders -> accounts (account_id));
diesel::joinable!(certificates -> issuers (issuer_id));
diesel::joinable!(certificates -> accounts (account_id));
diesel::joinable!(certificates -> orders (order_id));
diesel::joinable!(certificate_evidence -> certificates (certificate_id));
diesel::joinable!(certificate_evidence -> evidence (evidence_id));
diesel::joinable!(crls -> issuers (issuer_id));
diesel::joinable!(acme_authorizations -> acme_accounts (acme_account_id));
diesel::table! {
    vp_orders (id) {
        id -> Text,
        account_id -> Text,
        requested_by -> Text,
        mailbox -> Text,
        state -> Text,
        request -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
        order_url -> Nullable<Text>,
        authorization_url -> Nullable<Text>,
        answered_at -> Nullable<BigInt>,
        chain_pem -> Nullable<Text>,
        serial -> Nullable<Text>,
        not_after -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    acme_domain_authorizations (id) {
        id -> Text,
        acme_account_id -> Text,
        domain -> Text,
        state -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        http_token -> Text,
        dns_token -> Text,
        looked_at -> BigInt,
        challenge -> Nullable<Text>,
        validated_at -> Nullable<BigInt>,
        evidence_id -> Nullable<Text>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    evidence_retractions (evidence_id) {
        evidence_id -> Text,
        retracted_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(evidence, evidence_retractions);
diesel::joinable!(evidence_corroborations -> corroborations (corroboration_id));
diesel::joinable!(caa_corroborations -> corroborations (corroboration_id));
diesel::allow_tables_to_appear_in_same_query!(corroborations, evidence_corroborations);
diesel::allow_tables_to_appear_in_same_query!(corroborations, caa_corroborations);
diesel::allow_tables_to_appear_in_same_query!(evidence, evidence_withdrawals);
diesel::allow_tables_to_appear_in_same_query!(evidence, evidence_for_order);
diesel::allow_tables_to_appear_in_same_query!(acme_orders, orders);
diesel::allow_tables_to_appear_in_same_query!(acme_authorizations, acme_accounts, acme_orders);
diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    principals,
    api_tokens,
    cases,
    case_documents,
    case_evidence,
    case_decisions,
    evidence,
    challenges,
    issuers,
    orders,
    certificates,
    certificate_evidence,
    crls,
    audit_log,
    audit_checkpoints,
);

diesel::table! {
    recipient_certificates (mailbox, fingerprint) {
        mailbox -> Text,
        fingerprint -> Text,
        state -> Text,
        chain_pem -> Text,
        capabilities -> Text,
        not_after -> BigInt,
        first_seen_at -> BigInt,
        last_seen_at -> BigInt,
    }
}

diesel::table! {
    mta_sts_policies (domain) {
        domain -> Text,
        policy_id -> Text,
        policy -> Text,
        fetched_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    gateway_tokens (id) {
        id -> Text,
        name -> Text,
        token_hash -> Binary,
        may_sign_for -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    gateway_submissions (token_id, idempotency_key) {
        token_id -> Text,
        idempotency_key -> Text,
        request_hash -> Text,
        answer -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::joinable!(gateway_submissions -> gateway_tokens (token_id));
