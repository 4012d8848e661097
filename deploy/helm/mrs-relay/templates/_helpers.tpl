{{- define "mrs-relay.name" -}}
{{- if contains "mrs-relay" .Release.Name }}{{ .Release.Name | trunc 45 | trimSuffix "-" }}{{ else }}{{ printf "%s-mrs-relay" .Release.Name | trunc 45 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mrs-relay.selector" -}}
app.kubernetes.io/name: mrs-relay
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "mrs-relay.labels" -}}
{{ include "mrs-relay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "mrs-relay.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mrs-relay.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "mrs-relay.name" .) "default") }}
{{- end }}

{{/* The settings of all roles, as the TOML file that they read: what the values say, then what `settings` adds. */}}
{{- define "mrs-relay.settings" -}}
{{- $kafka := dict "bootstrap_servers" .Values.kafka.bootstrapServers "shutdown_s" (float64 .Values.worker.shutdownSeconds) -}}
{{- $security := dict -}}
{{- with .Values.kafka.security -}}
{{- with .protocol }}{{ $_ := set $security "protocol" . }}{{ end -}}
{{- with .mechanism }}{{ $_ := set $security "mechanism" . }}{{ end -}}
{{- with .username }}{{ $_ := set $security "username" . }}{{ end -}}
{{- if .passwordSecret.name }}{{ $_ := set $security "password_file" "/etc/mrs-relay/kafka-password/value" }}{{ end -}}
{{- if .authoritySecret.name }}{{ $_ := set $security "ca_file" "/etc/mrs-relay/kafka-authority/value" }}{{ end -}}
{{- if .certificateSecret -}}
{{- $_ := set $security "cert_file" "/etc/mrs-relay/kafka-certificate/tls.crt" -}}
{{- $_ := set $security "key_file" "/etc/mrs-relay/kafka-certificate/tls.key" -}}
{{- end -}}
{{- end -}}
{{- if $security }}{{ $_ := set $kafka "security" $security }}{{ end -}}
{{- $mrs := dict -}}
{{- with .Values.mrs.region }}{{ $_ := set $mrs "region" . }}{{ end -}}
{{- with .Values.mrs.endpoint }}{{ $_ := set $mrs "endpoint" . }}{{ end -}}
{{- with .Values.mrs.projectId }}{{ $_ := set $mrs "project_id" . }}{{ end -}}
{{- if .Values.mrs.credentialsSecret.name }}{{ $_ := set $mrs "credentials_file" "/etc/mrs-relay/mrs-credentials/value" }}{{ end -}}
{{- if .Values.mrs.authoritySecret.name }}{{ $_ := set $mrs "ca_file" "/etc/mrs-relay/mrs-authority/value" }}{{ end -}}
{{- $made := dict "kafka" $kafka "mrs" $mrs "web" (dict "host" "0.0.0.0" "port" 8080) "log" (dict "format" "json") -}}
{{- if .Values.traces.endpoint -}}
{{- $traces := dict "endpoint" .Values.traces.endpoint "ratio" (float64 .Values.traces.ratio) -}}
{{- if .Values.traces.headersSecret.name }}{{ $_ := set $traces "headers_file" "/etc/mrs-relay/traces-headers/value" }}{{ end -}}
{{- if .Values.traces.authoritySecret.name }}{{ $_ := set $traces "ca_file" "/etc/mrs-relay/traces-authority/value" }}{{ end -}}
{{- $_ := set $made "traces" $traces -}}
{{- end -}}
{{- include "mrs-relay.toml" (mergeOverwrite $made (deepCopy .Values.settings)) -}}
{{- end }}

{{/* TOML of a dictionary. Numbers of values are floats; whole ones are written as such. */}}
{{- define "mrs-relay.toml" -}}
{{- regexReplaceAll "(?m)(= -?[0-9]+)\\.0$" (toToml .) "${1}" -}}
{{- end }}

{{- define "mrs-relay.api" -}}
{{- $api := dict "host" "0.0.0.0" "port" 8081 -}}
{{- if .Values.web.readOnly }}{{ $_ := set $api "read_only" true }}{{ end -}}
{{- with .Values.web.addresses }}{{ $_ := set $api "addresses" . }}{{ end -}}
{{- $access := dict -}}
{{- if .Values.web.tokensSecret.name }}{{ $_ := set $access "tokens_file" "/etc/mrs-relay/web-tokens/value" }}{{ end -}}
{{- if .Values.web.sessionKeySecret.name }}{{ $_ := set $access "session_key_file" "/etc/mrs-relay/web-session-key/value" }}{{ end -}}
{{- if $access }}{{ $_ := set $api "access" $access }}{{ end -}}
{{- if .Values.web.tlsSecret -}}
{{- $_ := set $api "tls" (dict "certificate" "/etc/mrs-relay/web-certificate/tls.crt" "key" "/etc/mrs-relay/web-certificate/tls.key") -}}
{{- end -}}
{{- $made := dict "api" $api -}}
{{- with .Values.web.kafka.username }}{{ $_ := set $made "kafka" (dict "security" (dict "username" .)) }}{{ end -}}
{{- toJson $made -}}
{{- end }}

{{/* What the settings of the forwarder add. */}}
{{- define "mrs-relay.forwarding" -}}
{{- $forwarding := dict "host" "0.0.0.0" "port" 8080 "url" .Values.lineage.url -}}
{{- if .Values.lineage.tokenSecret.name }}{{ $_ := set $forwarding "token_file" "/etc/mrs-relay/lineage-token/value" }}{{ end -}}
{{- if .Values.lineage.authoritySecret.name }}{{ $_ := set $forwarding "ca_file" "/etc/mrs-relay/lineage-authority/value" }}{{ end -}}
{{- $made := dict "forwarding" $forwarding -}}
{{- with .Values.lineage.kafka.username }}{{ $_ := set $made "kafka" (dict "security" (dict "username" .)) }}{{ end -}}
{{- toJson $made -}}
{{- end }}

{{/* Secrets as folders of files: Kubernetes swaps a link when one changes, and the relay reads it again. */}}
{{- define "mrs-relay.secretMounts" -}}
{{- range $name, $secret := .secrets }}
{{- if (kindIs "string" $secret) | ternary $secret (dig "name" "" (kindIs "map" $secret | ternary $secret dict)) }}
- name: {{ $name }}
  mountPath: /etc/mrs-relay/{{ $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "mrs-relay.secretVolumes" -}}
{{- range $name, $secret := .secrets }}
{{- if kindIs "string" $secret }}
{{- if $secret }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
{{- end }}
{{- else if $secret.name }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret.name }}
    defaultMode: 0440
    items:
      - key: {{ $secret.key }}
        path: value
{{- end }}
{{- end }}
{{- end }}

{{- define "mrs-relay.workerSecrets" -}}
{{- dict "kafka-password" .Values.kafka.security.passwordSecret "kafka-authority" .Values.kafka.security.authoritySecret "kafka-certificate" .Values.kafka.security.certificateSecret "mrs-credentials" .Values.mrs.credentialsSecret "mrs-authority" .Values.mrs.authoritySecret "traces-headers" .Values.traces.headersSecret "traces-authority" .Values.traces.authoritySecret | toJson -}}
{{- end }}

{{/* A user of its own at Kafka has its secrets where the settings name those of the workers. */}}
{{- define "mrs-relay.webSecrets" -}}
{{- $password := .Values.web.kafka.passwordSecret | default .Values.kafka.security.passwordSecret -}}
{{- $certificate := .Values.web.kafka.certificateSecret | default .Values.kafka.security.certificateSecret -}}
{{- dict "kafka-password" $password "kafka-authority" .Values.kafka.security.authoritySecret "kafka-certificate" $certificate "web-tokens" .Values.web.tokensSecret "web-session-key" .Values.web.sessionKeySecret "web-certificate" .Values.web.tlsSecret | toJson -}}
{{- end }}

{{- define "mrs-relay.lineageSecrets" -}}
{{- $password := .Values.lineage.kafka.passwordSecret | default .Values.kafka.security.passwordSecret -}}
{{- $certificate := .Values.lineage.kafka.certificateSecret | default .Values.kafka.security.certificateSecret -}}
{{- dict "kafka-password" $password "kafka-authority" .Values.kafka.security.authoritySecret "kafka-certificate" $certificate "lineage-token" .Values.lineage.tokenSecret "lineage-authority" .Values.lineage.authoritySecret | toJson -}}
{{- end }}

{{/* What all pods have in common. */}}
{{- define "mrs-relay.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "mrs-relay.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "mrs-relay.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mrs-relay.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mrs-relay.selector" . | nindent 8 }}
{{- end }}
