"""The API server reads a sample of odd job specs: what we take means to it what it means to us."""

from __future__ import annotations

import json
import re
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from flowjob.exceptions import JobSpecError
from flowjob.spec.yaml_file import YamlFile
from tests.support.cluster import Cluster
from tests.support.odd_specs import ODD_SCALARS, SPECS, annotated, count_outcomes, mutated_texts

SAMPLE = 250
Answer = tuple[int, dict[str, Any]]


class Oracle:
    """Asks the API server what it makes of a Job, which it does not create."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._url = f"{cluster['server']}/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All"

    def read_yaml(self, text: str, validation: str) -> Answer:
        """Send the text itself."""
        body = text.encode(errors="surrogatepass")
        return self._post(body, "application/yaml", validation)

    def read_json(self, manifest: Any, validation: str) -> Answer:
        """Send what we read in it."""
        # In the order in which it reads YAML, as it tells the first of several errors.
        body = json.dumps(manifest, sort_keys=True).encode()
        return self._post(body, "application/json", validation)

    def _post(self, body: bytes, content_type: str, validation: str) -> Answer:
        request = Request(
            f"{self._url}&fieldValidation={validation}",
            data=body,
            headers={"Content-Type": content_type, "Accept": "application/json"},
        )
        try:
            with urlopen(request, context=self._tls, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def oracle(cluster: Cluster, namespace: str) -> Oracle:
    return Oracle(cluster.kubeconfig, namespace)


def compare(oracle: Oracle, text: str) -> str:
    """Check that the text and what we read in it are the same to the API server.

    :returns: what became of it, to be counted.
    """
    text = _for_the_server(text)
    try:
        content = YamlFile(text, "spec.yaml").content
    except JobSpecError:
        return "refused by us"
    validation = "Strict"
    from_text = oracle.read_yaml(text, validation)
    if "already set in map" in str(from_text[1].get("message")):
        # It reads a key that overrides a merged one, but would rather not.
        validation = "Ignore"
        from_text = oracle.read_yaml(text, validation)
    told = str(from_text[1].get("message"))
    if from_text[0] == 400 and "the object provided is unrecognized" in told:
        return "no YAML to the server"
    from_json = oracle.read_json(content, validation)
    assert _essence(from_text) == _essence(from_json), text
    return "the same to both" if from_text[0] == 201 else "refused alike"


def _for_the_server(text: str) -> str:
    """Put in what a flow run would put in; a name of the server's choice is another each time."""
    text = text.replace("generateName:", "name:").replace("name: report-\n", "name: report\n")
    text = text.replace("namespace: flows", "")
    text = text.replace('image: ""', "image: flows:1")
    return text if "metadata:" in text else text + "metadata: {name: report}\n"


def _essence(answer: Answer) -> Any:
    """What an answer says, without what is new in each."""
    code, body = answer
    if code != 201:
        # Go's and Python's JSON write small numbers differently.
        return code, re.sub(r"e-0(\d)", r"e-\1", body["message"])
    for mapping in (body["metadata"], body["spec"]["template"]["metadata"]):
        for label in [name for name in mapping["labels"] if name.endswith("controller-uid")]:
            del mapping["labels"][label]
    for field in ("uid", "creationTimestamp", "managedFields"):
        body["metadata"].pop(field, None)
    del body["spec"]["selector"]
    return code, body


def test_a_sample_of_mutated_specs_means_to_the_server_what_it_means_to_us(
    oracle: Oracle,
) -> None:
    outcomes = count_outcomes(mutated_texts(), SAMPLE, lambda text: compare(oracle, text))
    assert outcomes["the same to both"] > SAMPLE / 10


def test_an_odd_scalar_means_to_the_server_what_it_means_to_us(oracle: Oracle) -> None:
    places: list[Callable[[str], str]] = [
        annotated,
        lambda scalar: SPECS[0].replace("backoffLimit: 0", f"backoffLimit: {scalar}"),
        lambda scalar: SPECS[3].replace("suspend: false", f"suspend: {scalar}"),
        lambda scalar: SPECS[3].replace("port: 8080", f"port: {scalar}"),
        lambda scalar: SPECS[3].replace("cpu: 0.5", f"cpu: {scalar}"),
    ]
    outcomes = Counter(compare(oracle, place(scalar)) for place in places for scalar in ODD_SCALARS)
    print(dict(outcomes))
    assert outcomes["the same to both"] > 100


@pytest.mark.parametrize("text", SPECS, ids=["usual", "merged", "small", "long"])
def test_the_valid_specs_are_valid_to_the_server(oracle: Oracle, text: str) -> None:
    assert compare(oracle, text) == "the same to both"
