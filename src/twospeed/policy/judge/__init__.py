"""The judge of a rollout: is the candidate worse than the stable version, as far as can be known now?

Sequential and always valid: it may be asked after every request, and a candidate within what the guards accept is called
worse at most once in a hundred steps (`false_rollback_rate`). The unit is the session; the baseline is what the stable
version does at the same time.
"""

from twospeed.policy.judge.judge import Judge, Outcome, Verdict
from twospeed.policy.judge.observation import Arm, Observation
from twospeed.policy.judge.weigh import Reading

__all__ = ["Arm", "Judge", "Observation", "Outcome", "Reading", "Verdict"]
