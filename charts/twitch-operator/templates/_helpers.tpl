{{/* Each takes (list $ COMPONENT), with the component "operator", "gateway" or another word for a label. */}}

{{- define "twitch-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "twitch-operator.name" -}}
{{- $suffix := eq (index . 1) "operator" | ternary "" (print "-" (index . 1)) }}
{{- include "twitch-operator.fullname" (index . 0) }}{{ $suffix }}
{{- end }}

{{/* ClusterRoles of two releases of the same name in two namespaces must not be one. */}}
{{- define "twitch-operator.clusterName" -}}
{{- printf "%s:%s" (index . 0).Release.Namespace (include "twitch-operator.name" .) }}
{{- end }}

{{- define "twitch-operator.selector" -}}
app.kubernetes.io/name: {{ default (index . 0).Chart.Name (index . 0).Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* managed-by says Helm: the operator finds what it made by the same label with its own name. */}}
{{- define "twitch-operator.labels" -}}
{{- $ := index . 0 -}}
{{ include "twitch-operator.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "twitch-operator.metadata" -}}
name: {{ include "twitch-operator.name" . }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "twitch-operator.labels" . | nindent 2 }}
{{- end }}

{{- define "twitch-operator.image" -}}
{{- with .Values.image }}
{{- if not .repository }}
{{- fail "image.repository: no image of the operator is published: build one (see the chart's README), and name it here" }}
{{- end }}
{{- $name := .repository }}
{{- with .registry }}
{{- $name = printf "%s/%s" . $name }}
{{- end }}
{{- if .digest }}{{ $name }}@{{ .digest }}{{ else }}{{ $name }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "twitch-operator.account" -}}
{{- $ := index . 0 }}
{{- $account := eq (index . 1) "gateway" | ternary $.Values.gateway.serviceAccount $.Values.serviceAccount }}
{{- default ($account.create | ternary (include "twitch-operator.name" .) "default") $account.name }}
{{- end }}

{{- define "twitch-operator.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "twitch-operator.account" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "twitch-operator.labels" . | nindent 4 }}
  {{- with index . 2 }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
# The Pods that need a token ask for it.
automountServiceAccountToken: false
{{- end }}

{{/* Environment of both programs: the settings, and what the chart decides. */}}
{{- define "twitch-operator.env" -}}
- {name: TWITCH_OPERATOR_HEALTH_ADDRESS, value: ":{{ .Values.healthPort }}"}
- {name: TWITCH_OPERATOR_METRICS_ADDRESS, value: ":{{ .Values.metrics.port }}"}
{{- with .Values.watchNamespaces }}
- {name: TWITCH_OPERATOR_WATCH_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
{{- range $key, $value := .Values.settings }}
- name: TWITCH_OPERATOR_{{ snakecase $key | upper }}
  value: {{ kindIs "slice" $value | ternary (join "," $value) (toString $value) | quote }}
{{- end }}
{{- end }}

{{/* Not empty: the replicas of the operator elect a leader. */}}
{{- define "twitch-operator.elects" -}}
{{- $sharded := gt (int .Values.shards) 1 }}
{{- if and $sharded (eq (toString .Values.settings.leaderElection) "false") }}
{{- fail (printf "shards: %v: without leader election, nothing would keep two operators from one channel: leave out settings.leaderElection, or set shards to 1" .Values.shards) }}
{{- end }}
{{- $several := gt (int .Values.replicaCount) 1 }}
{{- if and $several (eq (toString .Values.settings.leaderElection) "false") }}
{{- fail (printf "replicaCount: %v: without leader election, all replicas would call Twitch for each cue: leave out settings.leaderElection, or set replicaCount to 1" .Values.replicaCount) }}
{{- end }}
{{- if or $several $sharded .Values.settings.leaderElection }}true{{ end }}
{{- end }}

{{/* Fails where an operator that elects nobody would run beside the new ones for a while. */}}
{{- define "twitch-operator.checkShards" -}}
{{- $name := include "twitch-operator.fullname" . }}
{{- $elects := include "twitch-operator.elects" . }}
{{- if gt (int .Values.shards) 1 }}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace $name }}
{{- if not (contains "TWITCH_OPERATOR_LEADER_ELECTION" (toJson .spec.template)) }}
{{- fail (printf "shards: %v: the operator that runs elects no leader, and the new ones would not wait for its end: upgrade with settings.leaderElection: true and shards: 1 first" $.Values.shards) }}
{{- end }}
{{- end }}
{{- else if not $elects }}
{{- if lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-shard-0" $name) }}
{{- fail "shards: 1: an operator without leader election would not wait for the end of the shards that run: upgrade with settings.leaderElection: true first" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "twitch-operator.leaseName" -}}
{{- default (include "twitch-operator.fullname" .) .Values.settings.leaseName }}
{{- end }}

{{/* Takes (list $ SHARD): environment of an operator. Its identity in the Lease is that of its Pod. */}}
{{- define "twitch-operator.operatorEnv" -}}
{{- $ := index . 0 }}
{{- $shard := index . 1 }}
{{- with $.Values }}
{{- include "twitch-operator.env" $ }}
{{- if include "twitch-operator.elects" $ }}
{{- if not .settings.leaderElection }}
- {name: TWITCH_OPERATOR_LEADER_ELECTION, value: "true"}
{{- end }}
{{- if not .settings.leaseName }}
- {name: TWITCH_OPERATOR_LEASE_NAME, value: {{ include "twitch-operator.leaseName" $ | quote }}}
{{- end }}
- name: TWITCH_OPERATOR_LEASE_NAMESPACE
  value: {{ $.Release.Namespace | quote }}
- name: TWITCH_OPERATOR_LEASE_IDENTITY
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end }}
{{- if gt (int .shards) 1 }}
- {name: TWITCH_OPERATOR_SHARDS, value: {{ .shards | quote }}}
- {name: TWITCH_OPERATOR_SHARD, value: {{ $shard | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes (list $ COMPONENT VALUES ENV PORTS PERIOD): a Pod's template for a Deployment. */}}
{{- define "twitch-operator.pod" -}}
{{- $ := index . 0 }}
{{- $component := index . 1 }}
{{- $own := index . 2 -}}
metadata:
  labels:
    {{- merge (include "twitch-operator.labels" . | fromYaml) $own.podLabels | toYaml | nindent 4 }}
  {{- with $own.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "twitch-operator.account" . }}
  automountServiceAccountToken: true
  # Else a Service of the same name would look like settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $own.terminationGracePeriodSeconds }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
  {{- with get $own $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- if and (eq $component "gateway") (not $own.affinity) }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "twitch-operator.selector" . | nindent 16 }}
  {{- end }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $component }}
      image: {{ include "twitch-operator.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      command: [twitch-operator, {{ eq $component "gateway" | ternary "gateway" "run" }}]
      env:
        {{- index . 3 | nindent 8 }}
        {{- with $own.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if eq $component "gateway" }}
        - {name: http, containerPort: {{ $.Values.gateway.port }}}
        {{- end }}
        - {name: metrics, containerPort: {{ $.Values.metrics.port }}}
        - {name: health, containerPort: {{ $.Values.healthPort }}}
      livenessProbe:
        httpGet: {path: /healthz, port: health}
        periodSeconds: 10
      readinessProbe:
        httpGet: {path: /readyz, port: health}
        periodSeconds: 2
      {{- with $own.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $.Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.extraVolumeMounts }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with $own.extraVolumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Takes (list $ COMPONENT RULES): the rules as a ClusterRole, or as a Role in each watched namespace. */}}
{{- define "twitch-operator.roles" -}}
{{- $ := index . 0 }}
{{- $all := . }}
{{- $subject := dict "kind" "ServiceAccount" "name" (include "twitch-operator.account" .) "namespace" $.Release.Namespace }}
{{- range $namespace := default (list "") $.Values.watchNamespaces }}
{{- $kind := empty $namespace | ternary "ClusterRole" "Role" }}
{{- $name := include "twitch-operator.clusterName" $all }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "twitch-operator.labels" $all | nindent 4 }}
rules:
  {{- index $all 2 | nindent 2 }}
  {{- if $namespace }}
  # A name that is no namespace is told at the start.
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [get]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "twitch-operator.labels" $all | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ $kind }}, name: "{{ $name }}"}
subjects: [{{ toJson $subject }}]
{{- end }}
{{- end }}
