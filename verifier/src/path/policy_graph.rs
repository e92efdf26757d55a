//! Certificate policies (RFC 5280 section 6.1 as updated by RFC 9618, whose graph cannot grow exponentially).

use std::collections::{BTreeMap, BTreeSet};

use const_oid::ObjectIdentifier;

use super::PathParameters;
use crate::certificate::Certificate;
use crate::extensions::ANY_POLICY;
use crate::finding::{Code, Problem};

/// The policy variables of RFC 5280 section 6.1.2.
#[derive(Debug)]
pub(super) struct PolicyState {
    /// valid_policy_graph: one level per certificate, level 0 for the anchor; `None` is NULL.
    graph: Option<Vec<Level>>,
    explicit_policy: usize,
    inhibit_any_policy: usize,
    policy_mapping: usize,
}

/// The nodes of one depth by their valid_policy.
type Level = BTreeMap<ObjectIdentifier, Node>;

#[derive(Debug, Default)]
struct Node {
    expected_policy_set: BTreeSet<ObjectIdentifier>,
    /// valid_policy of the nodes one level up.
    parents: BTreeSet<ObjectIdentifier>,
}

impl PolicyState {
    /// Section 6.1.2 for a path of `length` certificates.
    pub(super) fn new(parameters: &PathParameters, length: usize) -> Self {
        let unless = |flag: bool| if flag { 0 } else { length + 1 };
        let root = Node {
            expected_policy_set: BTreeSet::from([ANY_POLICY]),
            parents: BTreeSet::new(),
        };
        Self {
            graph: Some(vec![Level::from([(ANY_POLICY, root)])]),
            explicit_policy: unless(parameters.require_explicit_policy),
            inhibit_any_policy: unless(parameters.inhibit_any_policy),
            policy_mapping: unless(parameters.inhibit_policy_mapping),
        }
    }

    /// Section 6.1.3 (d) to (f).
    pub(super) fn process(&mut self, certificate: &Certificate<'_>, is_end_entity: bool) -> Result<(), Problem> {
        // (e)
        let Some(policies) = &certificate.extensions.policies else {
            self.graph = None;
            return self.check_explicit_policy(certificate);
        };
        if let Some(graph) = &mut self.graph
            && let Some(above) = graph.last()
        {
            let mut level = Level::new();
            let expecting = |policy: &ObjectIdentifier| -> BTreeSet<ObjectIdentifier> {
                let nodes = above
                    .iter()
                    .filter(|(_, node)| node.expected_policy_set.contains(policy));
                nodes.map(|(valid_policy, _)| *valid_policy).collect()
            };
            // (d)(1)
            for policy in policies.iter().filter(|policy| **policy != ANY_POLICY) {
                let mut parents = expecting(policy);
                if parents.is_empty() && above.contains_key(&ANY_POLICY) {
                    parents.insert(ANY_POLICY);
                }
                if !parents.is_empty() {
                    level.insert(
                        *policy,
                        Node {
                            expected_policy_set: BTreeSet::from([*policy]),
                            parents,
                        },
                    );
                }
            }
            // (d)(2)
            let any_policy_counts = self.inhibit_any_policy > 0 || (!is_end_entity && certificate.is_self_issued());
            if policies.contains(&ANY_POLICY) && any_policy_counts {
                let expected: BTreeSet<ObjectIdentifier> = above
                    .values()
                    .flat_map(|node| node.expected_policy_set.iter().copied())
                    .collect();
                for policy in expected {
                    let parents = expecting(&policy);
                    level.entry(policy).or_insert_with(|| Node {
                        expected_policy_set: BTreeSet::from([policy]),
                        parents,
                    });
                }
            }
            graph.push(level);
        }
        // (d)(3)
        self.prune();
        self.check_explicit_policy(certificate)
    }

    /// Section 6.1.4 (a) and (b).
    pub(super) fn map(&mut self, certificate: &Certificate<'_>) -> Result<(), Problem> {
        let Some(mappings) = &certificate.extensions.policy_mappings else {
            return Ok(());
        };
        if mappings
            .iter()
            .any(|(issuer, subject)| *issuer == ANY_POLICY || *subject == ANY_POLICY)
        {
            return Err(
                Code::PolicyMapping.because(format!("the certificate of {} maps anyPolicy", certificate.describe()))
            );
        }
        let mut by_issuer: BTreeMap<ObjectIdentifier, BTreeSet<ObjectIdentifier>> = BTreeMap::new();
        for (issuer, subject) in mappings {
            by_issuer.entry(*issuer).or_default().insert(*subject);
        }
        if let Some(level) = self.graph.as_mut().and_then(|graph| graph.last_mut()) {
            for (issuer, subjects) in by_issuer {
                if self.policy_mapping == 0 {
                    // (b)(2)
                    level.remove(&issuer);
                } else if let Some(node) = level.get_mut(&issuer) {
                    // (b)(1)
                    node.expected_policy_set = subjects;
                } else if level.contains_key(&ANY_POLICY) {
                    let parents = BTreeSet::from([ANY_POLICY]);
                    level.insert(
                        issuer,
                        Node {
                            expected_policy_set: subjects,
                            parents,
                        },
                    );
                }
            }
        }
        self.prune();
        Ok(())
    }

    /// Section 6.1.4 (h) to (j).
    pub(super) fn prepare_for_next(&mut self, certificate: &Certificate<'_>) {
        if !certificate.is_self_issued() {
            self.explicit_policy = self.explicit_policy.saturating_sub(1);
            self.policy_mapping = self.policy_mapping.saturating_sub(1);
            self.inhibit_any_policy = self.inhibit_any_policy.saturating_sub(1);
        }
        let lower = |counter: &mut usize, limit: Option<u32>| {
            if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
                *counter = (*counter).min(limit);
            }
        };
        if let Some(constraints) = certificate.extensions.policy_constraints {
            lower(&mut self.explicit_policy, constraints.require_explicit_policy);
            lower(&mut self.policy_mapping, constraints.inhibit_policy_mapping);
        }
        lower(&mut self.inhibit_any_policy, certificate.extensions.inhibit_any_policy);
    }

    /// Section 6.1.5 (a), (b), (g): the user-constrained-policy-set, in the policies of the anchor's domain.
    pub(super) fn finish(
        mut self,
        end_entity: &Certificate<'_>,
        parameters: &PathParameters,
    ) -> Result<BTreeSet<ObjectIdentifier>, Problem> {
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        if end_entity
            .extensions
            .policy_constraints
            .and_then(|constraints| constraints.require_explicit_policy)
            == Some(0)
        {
            self.explicit_policy = 0;
        }
        let mut constrained = BTreeSet::new();
        for level in self.graph.iter().flatten() {
            for (policy, node) in level.iter().filter(|(policy, _)| **policy != ANY_POLICY) {
                let allowed = parameters
                    .initial_policies
                    .as_ref()
                    .is_none_or(|initial| initial.contains(policy));
                if node.parents.contains(&ANY_POLICY) && allowed {
                    constrained.insert(*policy);
                }
            }
        }
        let end_is_any = self
            .graph
            .iter()
            .flatten()
            .next_back()
            .is_some_and(|level| level.contains_key(&ANY_POLICY));
        if end_is_any {
            match &parameters.initial_policies {
                None => {
                    constrained.insert(ANY_POLICY);
                }
                Some(initial) => constrained.extend(initial),
            }
        }
        if self.explicit_policy == 0 && constrained.is_empty() {
            return Err(policy_required(end_entity));
        }
        Ok(constrained)
    }

    /// (f)
    fn check_explicit_policy(&self, certificate: &Certificate<'_>) -> Result<(), Problem> {
        if self.explicit_policy > 0 || self.graph.is_some() {
            Ok(())
        } else {
            Err(policy_required(certificate))
        }
    }

    /// Removes nodes without children above the last level; a graph whose last level is empty is NULL.
    fn prune(&mut self) {
        let Some(graph) = &mut self.graph else {
            return;
        };
        let mut needed: Option<BTreeSet<ObjectIdentifier>> = None;
        for level in graph.iter_mut().rev() {
            if let Some(needed) = &needed {
                level.retain(|policy, _| needed.contains(policy));
            }
            needed = Some(level.values().flat_map(|node| node.parents.iter().copied()).collect());
        }
        if graph.last().is_none_or(BTreeMap::is_empty) {
            self.graph = None;
        }
    }
}

fn policy_required(certificate: &Certificate<'_>) -> Problem {
    Code::PolicyRequired.because(format!(
        "a policy is required, and none holds for the path at {}",
        certificate.describe()
    ))
}
