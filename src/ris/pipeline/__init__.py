"""What the stages share: where artefacts lie, how a stage runs, and the parts of stages that have several."""
