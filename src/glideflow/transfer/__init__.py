"""From elastic constants and a γ surface to the Peierls stress: data sets, baselines, networks and their validation.

A strength library becomes a `dataset.TransferDataset`; everything that predicts stresses from one is a
`models.Regressor`; `validation` runs any of them over splits by family or by metal and scores what was held out.
"""
