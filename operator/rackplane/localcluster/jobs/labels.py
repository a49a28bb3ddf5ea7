"""Labels, annotations and finalizers by which Jobs and their pods know each other."""

from __future__ import annotations

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
OLD_UID_LABEL = "controller-uid"
OLD_NAME_LABEL = "job-name"
#: On a pod of an Indexed Job: label and annotation.
INDEX = "batch.kubernetes.io/job-completion-index"
#: On a pod of a Job with backoffLimitPerIndex: how often its index failed before, and how often that was ignored.
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
#: Holds a pod until its end has been counted.
TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
#: `spec.managedBy` of the Jobs that the controller here runs; none is the same.
CONTROLLER_NAME = "kubernetes.io/job-controller"
