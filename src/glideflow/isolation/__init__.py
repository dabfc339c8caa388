"""Work in a child process that may abort, hang or be killed without taking its parent along."""

from glideflow.isolation.outcome import KILLED, Failure, Limits, Outcome, Success, Usage
from glideflow.isolation.parent import Task, run_isolated

__all__ = ["KILLED", "Failure", "Limits", "Outcome", "Success", "Task", "Usage", "run_isolated"]
