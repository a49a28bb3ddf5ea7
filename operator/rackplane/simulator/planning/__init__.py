"""What-if questions before something is bought, built or agreed: one file each, answered by the engine and by runs."""
