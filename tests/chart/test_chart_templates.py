"""The chart as helm renders and refuses it, without a cluster."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from controller.durations import DURATION_PATTERN, parse_duration
from controller.settings import PREFIX, Settings
from reference.chart.__main__ import main
from reference.chart.settings import setting_schemas
from tests.chart.helm import CHART, Manifest, helm, refusal, render, score

SMALL: Manifest = {"crds": {"enabled": False}}
EVERYTHING: Manifest = {
    "commonLabels": {"team": "playout"},
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "gateway": {
        "enabled": True,
        "autoscaling": {"enabled": True},
        "ingress": {"enabled": True, "hosts": ["ebs.example.com"]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    },
}


OTHERWISE: Manifest = {
    "image": {"repository": "tv/twitch-operator", "digest": "sha256:" + "0" * 64},
    "watchNamespaces": ["a", "b"],
    "serviceAccount": {"create": False, "name": "mine"},
    "settings": {"asRunDir": "/as-run", "allowedFetchHosts": ["id.example.com"]},
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "as-run", "emptyDir": {"sizeLimit": "1Gi"}}],
    "extraVolumeMounts": [{"name": "as-run", "mountPath": "/as-run"}],
    "podAnnotations": {"example.com/owner": "playout"},
    "podLabels": {"tier": "air"},
    "tolerations": [{"key": "air", "operator": "Exists"}],
    "affinity": {"podAffinity": {}},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prom"}}},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {}}],
        "gatewayFrom": [{"podSelector": {}}],
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
    },
    "gateway": {
        "enabled": True,
        "secretNames": ["deck-secrets"],
        "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["ebs.example.com"],
            "tls": [{"hosts": ["ebs.example.com"], "secretName": "ebs-tls"}],
        },
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}},
            }
        ],
    },
}
MEANT = [
    # A limit of CPU would hold up a cue in the moment in which it is to be quick.
    "--ignore-container-cpu-limit",
    # The root file system is read-only: what a Pod writes is its log, which the kubelet limits.
    "--ignore-test=container-ephemeral-storage-request-and-limit",
    # Tags are versions; who pushes other images under the same one sets image.pullPolicy.
    "--ignore-test=container-image-pull-policy",
    # One replica is the default, and two without an election would both call Twitch for each cue.
    "--ignore-test=deployment-replicas",
    "--ignore-test=deployment-strategy",
]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def only(manifests: list[Manifest], kind: str, name: str = "tw-twitch-operator") -> Manifest:
    [found] = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def container(manifests: list[Manifest], name: str = "tw-twitch-operator") -> Manifest:
    [found] = only(manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("values", [{}, EVERYTHING, OTHERWISE])
def test_helm_finds_nothing_wrong(values: Manifest) -> None:
    done = helm("lint", "--strict", str(CHART), values={"image": {"repository": "x"}} | values)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("more", [{}, {"watchNamespaces": ["a", "b"]}])
def test_kube_score_finds_nothing_but_what_is_meant(more: Manifest) -> None:
    assert score(render(SMALL | EVERYTHING | more), MEANT) == []


def test_the_files_that_are_made_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicaCout": 1}, "additional properties 'replicaCout' not allowed"),
        ({"gateway": {"enable": True}}, "additional properties 'enable' not allowed"),
        ({"settings": {"helixURL": "x"}}, "additional properties 'helixURL' not allowed"),
        ({"settings": {"statusInterval": 10}}, "/settings/statusInterval"),
        ({"settings": {"statusInterval": "10"}}, "/settings/statusInterval"),
        ({"settings": {"helixUrl": "api.twitch.tv"}}, "/settings/helixUrl"),
        ({"settings": {"logLevel": "TRACE"}}, "/settings/logLevel"),
        ({"image": {"pullPolicy": "Sometimes", "repository": "x"}}, "/image/pullPolicy"),
        ({"watchNamespaces": ["team-*"]}, "/watchNamespaces/0"),
        ({"watchNamespaces": "a,b"}, "/watchNamespaces"),
        (
            {"replicaCount": 2, "settings": {"leaderElection": False}},
            "replicaCount: 2: without leader election, all replicas would call Twitch",
        ),
        (
            {"shards": 3, "settings": {"leaderElection": False}},
            "shards: 3: without leader election, nothing would keep two operators from one channel",
        ),
        ({"shards": 0}, "/shards"),
        ({"image": {"repository": ""}}, "image.repository: no image of the operator is published"),
        ({"settings": {"asRunDir": "/as-run"}}, "settings.asRunDir: /as-run: the root file system"),
        ({"gateway": {"enabled": True, "ingress": {"enabled": True}}}, "gateway.ingress.hosts: is"),
        (
            {"gateway": {"enabled": True, "httpRoute": {"enabled": True}}},
            "gateway.httpRoute.parentRefs: is empty",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: Manifest, told: str) -> None:
    assert told in refusal(values)


def test_an_old_cluster_is_refused() -> None:
    assert ">=1.29.0-0" in refusal({}, "--kube-version", "1.28.9")


def _longer(duration: str) -> str:
    return f"{parse_duration(duration) + 1:g}s"


def test_every_setting_reaches_both_programs() -> None:
    changed: dict[str, Any] = {
        "integer": 7, "array": ["a.example.com", "b.example.com:8443"],
    }  # fmt: skip
    settings = {
        name: not schema["default"]
        if schema.get("type") == "boolean"
        else changed.get(
            schema.get("type", ""),
            schema["enum"][-1]
            if "enum" in schema
            else _longer(schema["default"])
            if schema.get("pattern") == DURATION_PATTERN
            else "https://x",
        )
        for name, schema in setting_schemas().items()
    }
    values: Manifest = {
        "settings": settings,
        "shards": 3,
        "watchNamespaces": ["a", "b"],
        "healthPort": 1001,
        "extraVolumeMounts": [{"name": "as-run", "mountPath": "/as-run"}],
        "metrics": {"port": 1002},
        "gateway": {"enabled": True, "port": 1003},
    }
    manifests = render(SMALL | values)
    gateway = container(manifests, "tw-twitch-operator-gateway")
    for program in (container(manifests, "tw-twitch-operator-shard-1"), gateway):
        environment = {each["name"]: each.get("value", "x") for each in program["env"]}
        if program is not gateway:
            environment[PREFIX + "GATEWAY_ADDRESS"] = ":1003"
        else:
            environment |= {PREFIX + f"LEASE_{name}": "x" for name in ("NAMESPACE", "IDENTITY")}
        if program is gateway:  # it serves the ExtensionApps of all shards
            environment |= {PREFIX + "SHARDS": "3", PREFIX + "SHARD": "1"}
        assert environment.keys() == Settings.variables().keys()
        read = Settings.from_environment(environment)
        same = [n for n, f in Settings.model_fields.items() if getattr(read, n) == f.default]
        assert same == []
        assert (read.health_address, read.metrics_address) == (":1001", ":1002")
        assert read.allowed_fetch_hosts == ("a.example.com", "b.example.com:8443")
        assert read.watch_namespaces == ("a", "b")


def test_what_is_left_out_is_not_set() -> None:
    program = container(render(SMALL))
    assert [each["name"].removeprefix(PREFIX) for each in program["env"]] == [
        "HEALTH_ADDRESS",
        "METRICS_ADDRESS",
        "LOG_FORMAT",
    ]
    assert program["command"] == ["twitch-operator", "run"]
    assert program["image"] == "registry.example.com/tv/twitch-operator:0.1.0"


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    image = {"repository": "r/x", "tag": "v1", "digest": digest}
    assert container(render(SMALL | {"image": image}))["image"] == f"r/x@{digest}"


def test_one_replica_never_runs_twice() -> None:
    manifests = render(SMALL)
    spec = only(manifests, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert "Lease" not in str(manifests)
    assert of_kind(manifests, "Role") == []


@pytest.mark.parametrize("namespaces", [[], ["a"]])
def test_two_replicas_elect_a_leader_by_a_lease_beside_them(namespaces: list[str]) -> None:
    manifests = render(SMALL | {"replicaCount": 2, "watchNamespaces": namespaces})
    spec = only(manifests, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (2, {"type": "RollingUpdate"})
    env = {each["name"].removeprefix(PREFIX): each for each in container(manifests)["env"]}
    assert env["LEADER_ELECTION"]["value"] == "true"
    assert env["LEASE_NAME"]["value"] == "tw-twitch-operator"
    assert env["LEASE_NAMESPACE"]["value"] == "twitch"
    assert env["LEASE_IDENTITY"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    role = only(manifests, "Role", "tw-twitch-operator-lease")
    assert role["metadata"]["namespace"] == "twitch"
    # Not by name: while the number of shards changes, those of both numbers use theirs.
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in role["rules"]] == [
        (["get", "watch", "create", "update"], None)
    ]
    only(manifests, "RoleBinding", "tw-twitch-operator-lease")


def test_one_replica_that_elects_is_replaced_without_a_gap() -> None:
    settings = {"leaderElection": True, "leaseName": "mine"}
    manifests = render(SMALL | {"settings": settings})
    assert only(manifests, "Deployment")["spec"]["strategy"] == {"type": "RollingUpdate"}
    names = [each["name"] for each in container(manifests)["env"]]
    assert len(names) == len(set(names))
    only(manifests, "Role", "tw-twitch-operator-lease")


def rights(role: Manifest) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])
    return found


def test_watched_namespaces_get_a_role_each_and_the_cluster_none() -> None:
    everywhere = render(SMALL | {"gateway": {"enabled": True}})
    named = render(SMALL | {"gateway": {"enabled": True}, "watchNamespaces": ["a", "b"]})
    assert [each for each in named if each["kind"].startswith("Cluster")] == []
    assert [each for each in everywhere if each["kind"] in ("Role", "RoleBinding")] == []
    for name in ("twitch:tw-twitch-operator", "twitch:tw-twitch-operator-gateway"):
        roles = [each for each in of_kind(named, "Role") if each["metadata"]["name"] == name]
        assert [each["metadata"]["namespace"] for each in roles] == ["a", "b"]
        whole = only(everywhere, "ClusterRole", name)
        only_there = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
        assert all(role["rules"] == [*whole["rules"], only_there] for role in roles)
    operator = rights(only(everywhere, "ClusterRole", "twitch:tw-twitch-operator"))
    assert operator["secrets"] == {"get", "create", "update"}


@pytest.mark.parametrize(
    ("section", "name"),
    [("Permissions", "tw-twitch-operator"), ("The gateway", "tw-twitch-operator-gateway")],
)
def test_the_page_lists_the_rights_that_the_chart_gives(section: str, name: str) -> None:
    page = (CHART.parents[1] / "docs" / "install.md").read_text("utf-8")
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", text, re.MULTILINE)
    told = {
        resource: set(verbs.split(", "))
        for about, verbs in rows
        for resource in re.findall(r"`([a-z/]+)`", about)
    }
    values = {"gateway": {"enabled": True}, "watchNamespaces": ["a"], "replicaCount": 2}
    manifests = render(SMALL | values)
    given = rights(only(manifests, "Role", f"twitch:{name}"))
    if name == "tw-twitch-operator":
        given |= rights(only(manifests, "Role", f"{name}-lease"))
    assert told == given


def test_secrets_may_be_deleted_where_that_is_wanted() -> None:
    role = only(
        render(SMALL | {"rbac": {"deleteSecrets": True}}),
        "ClusterRole",
        "twitch:tw-twitch-operator",
    )
    assert {"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]} in role["rules"]


def test_the_gateway_only_reads_and_only_the_secrets_that_are_named() -> None:
    values = {"gateway": {"enabled": True, "secretNames": ["deck-secrets", "deck-login"]}}
    name = "twitch:tw-twitch-operator-gateway"
    role = only(render(SMALL | values), "ClusterRole", name)
    assert rights(role) == {"extensionapps": {"list", "watch"}, "secrets": {"get"}}
    assert role["rules"][-1]["resourceNames"] == ["deck-secrets", "deck-login"]


def test_the_crds_are_kept_if_not_said_otherwise() -> None:
    kept = of_kind(render({}), "CustomResourceDefinition")
    assert len(kept) == 3
    policy = "helm.sh/resource-policy"
    assert {each["metadata"]["annotations"][policy] for each in kept} == {"keep"}
    gone = of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert [each["metadata"].get("annotations") for each in gone] == [None] * 3
    assert of_kind(render(SMALL), "CustomResourceDefinition") == []
    for crd in kept:
        file = CHART.parents[1] / "crds" / f"{crd['spec']['names']['plural']}.yaml"
        assert crd["spec"] == yaml.safe_load(file.read_text("utf-8"))["spec"]


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    project = (CHART.parents[1] / "pyproject.toml").read_text("utf-8")
    assert f'version = "{chart["appVersion"]}"' in project


def test_each_alert_has_the_address_of_its_runbook() -> None:
    rule = {"enabled": True, "runbookUrl": "https://docs.example.com/runbooks.html"}
    shown = only(render(SMALL | {"metrics": {"prometheusRule": rule}}), "PrometheusRule")
    file = yaml.safe_load((CHART / "files/alerts.yaml").read_text("utf-8"))
    for group in file["groups"]:
        for alert in group["rules"]:
            url = f"{rule['runbookUrl']}#{alert['alert'].lower()}"
            alert["annotations"]["runbook_url"] = url
    assert shown["spec"] == file


def test_grafana_finds_the_dashboard_by_its_label_and_folder() -> None:
    values = {"enabled": True, "folder": "Playout", "annotations": {"team": "ads"}}
    name = "tw-twitch-operator-dashboard"
    shown = only(render(SMALL | {"metrics": {"dashboard": values}}), "ConfigMap", name)
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert shown["metadata"]["annotations"] == {"team": "ads", "grafana_folder": "Playout"}
    [told] = shown["data"].values()
    file = (CHART / "files/dashboard.json").read_text("utf-8")
    assert json.loads(told) == json.loads(file)
    plain = only(render(SMALL | {"metrics": {"dashboard": {"enabled": True}}}), "ConfigMap", name)
    assert "annotations" not in plain["metadata"]


def test_objects_of_the_user_may_be_templates() -> None:
    mine = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-mine"},
    }
    assert only(render(SMALL | {"extraObjects": [mine]}), "ConfigMap", "tw-mine")


def test_every_object_has_the_labels_of_the_user() -> None:
    for each in render(SMALL | EVERYTHING):
        assert each["metadata"]["labels"]["team"] == "playout", json.dumps(each)


def test_each_shard_has_a_deployment_of_its_own() -> None:
    values: Manifest = {"shards": 3, "replicaCount": 2, "podDisruptionBudget": {"enabled": True}}
    manifests = render(SMALL | values)
    names = [f"tw-twitch-operator-shard-{number}" for number in range(3)]
    assert [each["metadata"]["name"] for each in of_kind(manifests, "Deployment")] == names
    pods = []
    for number, name in enumerate(names):
        deployment = only(manifests, "Deployment", name)["spec"]
        assert deployment["replicas"] == 2
        assert deployment["strategy"] == {"type": "RollingUpdate"}
        pod = deployment["template"]["metadata"]["labels"]
        assert deployment["selector"]["matchLabels"].items() <= pod.items()
        pods.append((pod, deployment["selector"]["matchLabels"]))
        environment = {
            each["name"]: each.get("value", "uid") for each in container(manifests, name)["env"]
        }
        read = Settings.from_environment(environment)
        assert (read.shard, read.shards, read.leader_election) == (number, 3, True)
        assert read.lease_name == "tw-twitch-operator"
    for number, (pod, _) in enumerate(pods):
        found = [
            other for other, (_, selector) in enumerate(pods) if selector.items() <= pod.items()
        ]
        assert found == [number]
    budget = only(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    service = only(manifests, "Service")["spec"]["selector"]
    for pod, _ in pods:
        assert budget.items() <= pod.items()
        assert service.items() <= pod.items()


def test_one_shard_is_as_ever() -> None:
    manifests = render(SMALL)
    [deployment] = of_kind(manifests, "Deployment")
    assert deployment["metadata"]["name"] == "tw-twitch-operator"
    assert "twitch-operator.dev/shard" not in json.dumps(deployment)
    assert not [each for each in container(manifests)["env"] if "SHARD" in each["name"]]
