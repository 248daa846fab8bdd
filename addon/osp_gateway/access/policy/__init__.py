"""IAM policy documents: read once, judged for each request. Pure: no I/O but for the files that a configuration names.

A document is read (`reading`) into statements (`statements`) of patterns (`patterns`) and conditions (`conditions`);
a request is a set of IAM actions (`actions`) in a context of condition keys (`context`); `authorizer` has the word.
See "IAM JSON policy elements reference" and "IAM JSON policy evaluation logic" in the IAM user guide.
"""

from osp_gateway.access.policy.authorizer import Attached, PolicyAuthorizer, SessionPolicies
from osp_gateway.access.policy.reading import PolicyError, read_policy
from osp_gateway.access.policy.statements import Policy

__all__ = ["Attached", "Policy", "PolicyAuthorizer", "PolicyError", "SessionPolicies", "read_policy"]
