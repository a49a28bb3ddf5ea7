{{- define "rackplane.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{/* Names get suffixes: 53 characters leave room for them. */}}
{{- define "rackplane.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "rackplane.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "rackplane.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "rackplane.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rackplane.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "rackplane.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "rackplane.selectorLabels" . }}
app.kubernetes.io/part-of: rackplane
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "rackplane.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "rackplane.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The user name under which the API server sees the operator. */}}
{{- define "rackplane.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "rackplane.serviceAccountName" . }}
{{- end }}

{{- define "rackplane.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{/* Where the cluster serves both, v1; without a cluster (helm template) what its version would serve. */}}
{{- define "rackplane.mutatingPolicyVersion" -}}
{{- $served := .Capabilities.APIVersions -}}
{{- if .Values.admission.apiVersion -}}
{{ .Values.admission.apiVersion }}
{{- else if $served.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1
{{- else if $served.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1beta1
{{- else if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
admissionregistration.k8s.io/v1
{{- else -}}
admissionregistration.k8s.io/v1beta1
{{- end -}}
{{- end }}

{{/* The class of the operator's pods: one that is named, else the chart's own. */}}
{{- define "rackplane.priorityClassName" -}}
{{- if .Values.priorityClassName }}
{{- .Values.priorityClassName }}
{{- else if .Values.priorityClass.create }}
{{- include "rackplane.fullname" . }}
{{- end }}
{{- end }}

{{/* Of pods that ask the API server and nothing else, beside the operator's own. */}}
{{- define "rackplane.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rackplane.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The kinds of workloads that can be named in workloads.kinds, as their projects serve them. */}}
{{- define "rackplane.workloadKinds" -}}
JobSet:
  group: jobset.x-k8s.io
  versions: [v1alpha2]
  resource: jobsets
  suspend: spec.suspend
TrainJob:
  group: trainer.kubeflow.org
  versions: [v1alpha1]
  resource: trainjobs
  suspend: spec.suspend
PyTorchJob:
  group: kubeflow.org
  versions: [v1]
  resource: pytorchjobs
  suspend: spec.runPolicy.suspend
  replicaSpecs: pytorchReplicaSpecs
  roles: [Master, Worker]
MPIJob:
  group: kubeflow.org
  versions: [v2beta1, v1]
  resource: mpijobs
  suspend: spec.runPolicy.suspend
  replicaSpecs: mpiReplicaSpecs
  roles: [Launcher, Worker]
RayCluster:
  group: ray.io
  versions: [v1]
  resource: rayclusters
  suspend: spec.suspend
  rayCluster: spec
  makers: [RayJob, RayService]
RayJob:
  group: ray.io
  versions: [v1]
  resource: rayjobs
  suspend: spec.suspend
  rayCluster: spec.rayClusterSpec
{{- end }}

{{/* CEL: what a pod template gets, given the type of its field. */}}
{{- define "rackplane.queuedTemplate" -}}
{{ . }}{
  metadata: {{ . }}.metadata{
    labels: {"rackplane.dev/queue": object.metadata.labels["rackplane.dev/queue"]}
  },
  spec: {{ . }}.spec{
    schedulingGates: [{{ . }}.spec.schedulingGates{name: "rackplane.dev/placement"}]
  }
}
{{- end }}

{{/* Whom the guard watches: all but the operator and those that are named. */}}
{{- define "rackplane.guarded" -}}
{{- $guard := .Values.admission.guard -}}
- name: not-the-operator
  expression: request.userInfo.username != {{ include "rackplane.username" . | quote }}
{{- with $guard.exemptUsers }}
- name: not-an-exempt-user
  expression: {{ printf "!(request.userInfo.username in %s)" (toJson .) | quote }}
{{- end }}
{{- with $guard.exemptGroups }}
- name: not-in-an-exempt-group
  expression: {{ printf "!has(request.userInfo.groups) || !request.userInfo.groups.exists(group, group in %s)" (toJson .) | quote }}
{{- end }}
{{- end }}

{{/* What is said of a field that names a node. */}}
{{- define "rackplane.namesNode" -}}
{{ . }}: Rackplane chooses the nodes of what is in a queue. Take it out; nodeSelector and node affinity
say which nodes are allowed. Without the label rackplane.dev/queue the pods are none of Rackplane's.
{{- end }}
