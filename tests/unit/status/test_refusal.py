"""Why the API server refused a Job, without the Job."""

from __future__ import annotations

from flowjob.status.refusal import explain, is_full_quota, is_missing_right, refused_fields


def test_a_misspelt_field_is_named() -> None:
    message = (
        'strict decoding error: unknown field "spec.template.spec.containers[0].imagePulPolicy"'
    )
    status = {"code": 400, "reason": "BadRequest", "message": message}
    assert explain(status) == f"BadRequest: {message}"


def test_a_refused_value_is_told_by_its_field_and_not_repeated() -> None:
    status = {
        "code": 422,
        "reason": "Invalid",
        "message": 'Job.batch "x" is invalid: spec.x: Invalid value: "s3cret": no',
        "details": {
            "causes": [
                {"reason": "FieldValueInvalid", "field": "spec.x", "message": "s3cret"},
                {"reason": "FieldValueRequired", "field": "spec.y", "message": "s3cret"},
            ]
        },
    }
    assert explain(status) == "Invalid: spec.x: value invalid; spec.y: value required"


def test_an_answer_of_something_else_is_told_too() -> None:
    assert explain({"code": 502, "message": "Bad gateway"}) == "refused: Bad gateway"
    assert explain({}) == "refused: no message"


def test_the_fields_are_known_for_which_a_job_was_refused() -> None:
    causes = [{"field": "spec.x"}, {"field": "spec.y"}, {"field": "spec.x"}, {"reason": "x"}]
    assert refused_fields({"details": {"causes": causes}}) == ["spec.x", "spec.y"]
    message = 'strict decoding error: unknown field "spec.a", unknown field "spec.b[0].c"'
    assert refused_fields({"message": message}) == ["spec.a", "spec.b[0].c"]
    assert refused_fields({}) == []


def test_a_missing_right_is_told_with_what_grants_it() -> None:
    message = 'jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch"'
    told = explain({"code": 403, "reason": "Forbidden", "message": message})
    assert told == (
        f"Forbidden: {message} (grant it to the user of the Airflow connection by an RBAC Role)"
    )


def test_a_webhook_that_tells_its_reason_in_lines_is_told_in_one() -> None:
    message = 'admission webhook "x" denied the request:\n  no team label\n'
    told = explain({"code": 403, "reason": "Forbidden", "message": message})
    assert told == 'Forbidden: admission webhook "x" denied the request: no team label'


FULL = (
    'jobs.batch "sales" is forbidden: exceeded quota: one-job, requested: count/jobs.batch=1, '
    "used: count/jobs.batch=1, limited: count/jobs.batch=1"
)
NOT_COUNTED = 'jobs.batch "sales" is forbidden: status unknown for quota: one-job, resources: x'
NO_RIGHT = 'jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch"'
DENIED = 'admission webhook "policy" denied the request: no'


def test_a_full_quota_is_told_with_what_makes_room() -> None:
    told = explain({"code": 403, "reason": "Forbidden", "message": FULL})
    assert told.startswith(f"Forbidden: {FULL} (")
    assert "for as long as they are kept: on_finish deletes them" in told


def test_what_may_pass_is_known_from_what_stays() -> None:
    def shown(message: str) -> tuple[bool, bool]:
        status = {"code": 403, "reason": "Forbidden", "message": message}
        return is_full_quota(status), is_missing_right(status)

    assert shown(FULL) == (True, False)
    assert shown(NOT_COUNTED) == (True, False)
    assert shown(NO_RIGHT) == (False, True)
    assert shown(DENIED) == (False, False)
    assert is_missing_right({"code": 403, "message": "<html>Forbidden</html>"})
