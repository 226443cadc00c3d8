"""From MLflow records to ablation tables: statistics, plots and reports."""
