/** By which this program is called again once a run's process was killed. */
export const endLeftBehindVerb = 'end-left-behind';
