"""Sets of values with which the chart is rendered: from the fewest that it needs to all that it knows."""

from __future__ import annotations

from typing import Any, Final

FEWEST: Final[dict[str, Any]] = {
    "kafka": {"bootstrapServers": "kafka:9092"},
    "mrs": {"region": "cn-north-4", "credentialsSecret": {"name": "mrs", "key": "credentials.json"}},
    "web": {"tokensSecret": {"name": "tokens", "key": "tokens"}},
}

SECURED: Final[dict[str, Any]] = {
    "image": {"repository": "registry.example/mrs-relay", "tag": "1.2.3", "pullSecrets": ["registry"]},
    "kafka": {
        "bootstrapServers": "kafka-0.example:9093,kafka-1.example:9093",
        "security": {
            "protocol": "SASL_SSL",
            "mechanism": "SCRAM-SHA-512",
            "username": "relay",
            "passwordSecret": {"name": "kafka-relay", "key": "password"},
            "authoritySecret": {"name": "kafka-cluster-ca", "key": "ca.crt"},
        },
    },
    "mrs": {
        "endpoint": "https://mrs.example",
        "projectId": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "credentialsSecret": {"name": "mrs", "key": "credentials.toml"},
        "authoritySecret": {"name": "mrs-ca", "key": "ca.crt"},
    },
    "web": {
        "addresses": ["https://relay.example"],
        "tokensSecret": {"name": "relay-tokens", "key": "tokens"},
        "sessionKeySecret": {"name": "relay-session", "key": "key"},
        "kafka": {"username": "relay-web", "passwordSecret": {"name": "kafka-web", "key": "password"}},
        "tlsSecret": "relay-tls",
        "databaseSecret": {"name": "relay-database", "key": "address"},
    },
}

MUTUAL: Final[dict[str, Any]] = {
    **FEWEST,
    "kafka": {"bootstrapServers": "kafka:9093", "security": {"protocol": "SSL", "certificateSecret": "kafka-relay"}},
    "web": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "serviceAccount": {"create": False, "name": "relay"},
    "worker": {
        "replicas": 1,
        "podDisruptionBudget": {"enabled": False},
        "nodeSelector": {"pool": "data"},
        "tolerations": [{"key": "data", "operator": "Exists"}],
        "podAnnotations": {"team": "data"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "shutdownSeconds": 7.5,
    },
}

EVERYTHING: Final[dict[str, Any]] = {
    **SECURED,
    "settings": {
        "kafka": {
            "app_id": "lake",
            "group_id": "lake-relay",
            "topics": {"requests": "lake.requests", "lineage": "lake.lineage"},
        },
        "engine": {"slots_per_cluster": 20},
        "log": {"level": "DEBUG"},
    },
    "traces": {
        "endpoint": "https://collector.example/v1/traces",
        "ratio": 0.1,
        "headersSecret": {"name": "collector", "key": "headers"},
        "authoritySecret": {"name": "collector-ca", "key": "ca.crt"},
    },
    "lineage": {
        "enabled": True,
        "url": "https://marquez.example/api/v1/lineage",
        "tokenSecret": {"name": "marquez", "key": "token"},
        "authoritySecret": {"name": "marquez-ca", "key": "ca.crt"},
        "kafka": {"username": "relay-lineage", "passwordSecret": {"name": "kafka-lineage", "key": "password"}},
    },
    "keda": {"enabled": True, "prometheus": "http://prometheus:9090", "maxReplicas": 12},
    "prometheus": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "webTokenSecret": {"name": "relay-viewer", "key": "token"},
        },
        "rules": {"enabled": True, "runbooks": "https://wiki.example/mrs-relay/"},
    },
    "strimzi": {"enabled": True, "cluster": "kafka", "namespace": "kafka", "partitions": 24},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 9093}, {"port": 443}], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    },
}

SETS: Final = {"fewest": FEWEST, "secured": SECURED, "mutual": MUTUAL, "everything": EVERYTHING}
