{{/*
What a DaemonSet's account needs to write to Nodes, held to its own: the binding of its ClusterRole, and a policy.

root: the chart's context. name: of account, role and policy. who: it, in words. labels, annotations: that it may write.
*/}}
{{- define "rackplane.nodeWriter" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels: {{- include "rackplane.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .root.Release.Namespace }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels: {{- include "rackplane.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    matchPolicy: Equivalent
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [UPDATE]
        resources: [nodes]
  matchConditions:
    - name: the-account
      expression: {{ printf "request.userInfo.username == \"system:serviceaccount:%s:%s\"" .root.Release.Namespace .name | quote }}
  variables:
    - name: own
      expression: {{ toJson .annotations | squote }}
    - name: ownLabels
      expression: {{ toJson .labels | squote }}
    - name: before
      expression: "has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}"
    - name: after
      expression: "has(object.metadata.annotations) ? object.metadata.annotations : {}"
    - name: finalizersBefore
      expression: "has(oldObject.metadata.finalizers) ? oldObject.metadata.finalizers : []"
    - name: finalizersAfter
      expression: "has(object.metadata.finalizers) ? object.metadata.finalizers : []"
    - name: ownersBefore
      expression: "has(oldObject.metadata.ownerReferences) ? oldObject.metadata.ownerReferences : []"
    - name: ownersAfter
      expression: "has(object.metadata.ownerReferences) ? object.metadata.ownerReferences : []"
    - name: labelsBefore
      expression: "has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}"
    - name: labelsAfter
      expression: "has(object.metadata.labels) ? object.metadata.labels : {}"
  validations:
    # Tokens of pods name the node that the pod runs on.
    - expression: >-
        has(request.userInfo.extra) && "authentication.kubernetes.io/node-name" in request.userInfo.extra &&
        request.userInfo.extra["authentication.kubernetes.io/node-name"] == [object.metadata.name]
      reason: Forbidden
      message: {{ .who }} may change its own Node only
    - expression: >-
        object.spec == oldObject.spec &&
        variables.labelsBefore.all(k, k in variables.ownLabels ||
          (k in variables.labelsAfter && variables.labelsAfter[k] == variables.labelsBefore[k])) &&
        variables.labelsAfter.all(k, k in variables.ownLabels || k in variables.labelsBefore) &&
        variables.finalizersAfter == variables.finalizersBefore && variables.ownersAfter == variables.ownersBefore &&
        variables.before.all(k, k in variables.own || (k in variables.after && variables.after[k] == variables.before[k])) &&
        variables.after.all(k, k in variables.own || k in variables.before)
      reason: Forbidden
      message: >-
        {{ .who }} may change nothing of its Node but the {{ with .labels }}labels {{ join ", " . }} and the {{ end -}}
        annotations {{ join ", " .annotations }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "rackplane.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end }}
