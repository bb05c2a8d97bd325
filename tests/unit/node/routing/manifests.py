"""Small models for routing tests."""

from __future__ import annotations

from models.manifest import Input, Manifest, Requirement


def manifest(
    name: str, *require: tuple[str, str], minimum_slices: int = 1, research_only: bool = False, on_request: bool = False
) -> Manifest:
    return Manifest.model_validate(
        {
            "name": name,
            "version": "1.0.0",
            "title": name,
            "licence": "Apache-2.0",
            "intended_use": "testing",
            "runtime": "models.runtimes.none:None",
            "research_only": research_only,
            "on_request": on_request,
            "input": Input(
                require=tuple(Requirement(rule=rule, otherwise=otherwise) for rule, otherwise in require),
                minimum_slices=minimum_slices,
            ),
            "findings": [{"key": "one", "name": "One", "code": ["SCT", "1", "One"], "threshold": 0.5}],
        }
    )


LIBRARY = {
    one.name: one
    for one in (
        manifest("brain-mr", ('modality == "MR"', "reads MR, this is {modality}"), minimum_slices=10),
        manifest("ct-tissue", ('modality == "CT"', "reads CT, this is {modality}"), ("not localizer", "this is a localizer")),
        manifest("cxr-lungs", ('modality in ["CR", "DX"]', "reads chest films, this is {modality}")),
        manifest("cxr-tb", ('modality in ["CR", "DX"]', "reads chest films, this is {modality}"), research_only=True),
    )
}
