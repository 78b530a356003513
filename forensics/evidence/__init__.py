"""Evidence: transcript, custody log, case folder, seal and the independent check."""
